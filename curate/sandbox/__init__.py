"""Programs that nobody trusts are run here, in processes that can neither see nor change anything outside.

`level.isolation()` says how well this machine can keep that promise; docs/sandbox.md says what it means.
Nothing is imported here: the fork server (warden.py) must stay a small process.
"""
