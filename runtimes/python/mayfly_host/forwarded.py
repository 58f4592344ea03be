"""What a proxy in front of the daemon says of the request: X-Forwarded-Proto and X-Forwarded-For.

Any client can send these headers, so they count only if the peer is one that may speak for others: the
machine itself, or an address in FORWARDED_ALLOW_IPS ("*": any), a variable that other servers of the
language know, too.
"""

import os

_LOCAL = frozenset(("127.0.0.1", "::1", "::ffff:127.0.0.1"))


def _allowed():
    named = os.environ.get("FORWARDED_ALLOW_IPS")
    return _LOCAL if named is None else frozenset(name.strip() for name in named.split(","))


def _is_trusted(address, allowed):
    return address in allowed or "*" in allowed


def scheme_of(request, peer):
    """"http" or "https"."""
    said = request.get("X-Forwarded-Proto")
    if not said or not _is_trusted(peer, _allowed()):
        return "http"
    said = said.strip().lower()
    return "https" if said in ("https", "wss") else "http"


def client_of(request, peer):
    """The address of the client: the last one that no trusted proxy has."""
    said = request.get("X-Forwarded-For")
    if not said:
        return peer
    allowed = _allowed()
    if not _is_trusted(peer, allowed):
        return peer
    chain = [name.strip() for name in said.split(",") if name.strip()]
    for address in reversed(chain):
        if not _is_trusted(address, allowed) or "*" in allowed:
            return address if "*" not in allowed else chain[0]
    return chain[0] if chain else peer
