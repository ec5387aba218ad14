"""The benchmark by size: CPU against every way this machine has to use a GPU, for people to run and send back."""
