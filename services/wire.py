"""Text messages as a server writes them to a WebSocket: unmasked, each in one piece (RFC 6455, section 5.2).

They are framed here, once, whoever and however many receive them.
"""


def framed(*payloads: bytes) -> bytes:
    """Frame messages that leave together.

    :param payloads: UTF-8.
    """
    return b"".join([part for payload in payloads for part in (_header(len(payload)), payload)])


def _header(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
