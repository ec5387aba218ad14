"""Requests to addresses that strangers name: inputs to fetch, and webhooks to call.

Only public addresses are called, unless a setting allows others. Needs the extra ``reelpress[service]``.
"""
