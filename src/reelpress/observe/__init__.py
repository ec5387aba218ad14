"""What is measured of jobs: names, instruments, prices, baselines."""
