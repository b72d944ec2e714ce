"""What the answers to an item come to: the project's rule, what it weighs answers by, what another would change."""
