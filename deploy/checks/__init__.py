"""What deploy/validate runs. A check is a function of the root of the repository that yields what is wrong."""
