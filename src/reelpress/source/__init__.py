"""Long sources that are read in parts: files here, and files of HTTP(S) servers, of which only what is used is fetched.

``opening.open_source`` is where to begin. Addresses need the extra ``reelpress[service]``; files need nothing.
"""
