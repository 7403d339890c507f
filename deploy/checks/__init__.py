"""The checks of deploy/validate. A check is a function that takes the root of the repository and yields problems."""
