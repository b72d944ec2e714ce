"""How reliable people are: their labels beside what is known, decided and agreed."""
