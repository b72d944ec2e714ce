"""Every change of what is judged: decisions of reviewers, fits of the annotators, votes counted beside the labels."""
