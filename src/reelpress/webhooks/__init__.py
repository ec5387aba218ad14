"""Telling others what became of their jobs: signed, tried again for a day, and written down.

``outbox`` keeps what is to be sent in a table, ``sender`` sends it, ``delivery`` is one try, ``backoff`` says when the
next one is. Needs the extra ``reelpress[service]``.
"""
