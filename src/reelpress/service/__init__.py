"""The HTTP service around jobs. Needs the extra ``reelpress[service]``."""
