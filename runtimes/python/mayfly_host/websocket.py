"""The frames of WebSocket, RFC 6455, as a server speaks it: bytes in, events out; no input or output.

Strict, as the peer is anybody: what the RFC forbids ends the connection with the code that it names.
Extensions are not negotiated, so reserved bits are an error. Messages have a ceiling.
"""

import base64
import binascii
import codecs
import hashlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, ABNORMAL = 1000, 1001, 1002, 1005, 1006
BAD_DATA, POLICY, TOO_BIG, INTERNAL_ERROR = 1007, 1008, 1009, 1011

MESSAGE_BYTES_MAX = 16 << 20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ProtocolError(Exception):
    """What the peer has sent is not allowed; `code` is what the connection is closed with."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code
        self.reason = reason


class HandshakeError(Exception):
    """The request asks for a WebSocket in a way that is not allowed."""

    def __init__(self, status, text, headers=()):
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = list(headers)


# ---- the handshake ----


def accept_key(version, key):
    """The value of Sec-WebSocket-Accept, for the values of -Version and -Key, which may be None."""
    if version is None or version.strip() != "13":
        raise HandshakeError(426, "WebSocket version 13 is spoken here",
                             [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")])
    key = (key or "").strip().encode("latin-1")
    try:
        is_good = len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        is_good = False
    if not is_good:
        raise HandshakeError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    return base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()


# ---- frames ----


def frame(opcode, payload=b"", is_last=True):
    """One frame of a server: not masked."""
    n = len(payload)
    first = opcode | (0x80 if is_last else 0)
    if n < 126:
        return bytes((first, n)) + payload
    if n < 1 << 16:
        return bytes((first, 126)) + n.to_bytes(2, "big") + payload
    return bytes((first, 127)) + n.to_bytes(8, "big") + payload


def close_frame(code, reason=""):
    if code == NO_CODE:
        return frame(CLOSE)
    data = reason.encode("utf-8", "replace")[:123]
    while data and not _is_utf8(data):
        data = data[:-1]  # not in the middle of a character
    return frame(CLOSE, code.to_bytes(2, "big") + data)


def is_close_code(code):
    """Whether it may stand in a frame."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def _is_utf8(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def unmask(data, mask):
    """XOR with the mask over and over, as one long number."""
    n = len(data)
    if not n:
        return b""
    key = int.from_bytes((mask * (n // 4 + 1))[:n], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(n, "little")


class Reader:
    """feed(bytes) takes what has come; events() gives what is complete: (TEXT, str), (BINARY, bytes),
    (PING, bytes), (PONG, bytes) or (CLOSE, (code, reason)), behind which nothing more is read."""

    def __init__(self, message_max=MESSAGE_BYTES_MAX):
        self.message_max = message_max
        self.data = bytearray()
        self.kind = None  # of the message that has begun
        self.parts = []
        self.size = 0
        self.decode = None
        self.is_closed = False

    def feed(self, data):
        self.data += data

    def events(self):
        """Yields what is complete. Raises ProtocolError; then nothing more can be read."""
        while not self.is_closed:
            try:
                got = self._next_frame()
                event = got and self._take(*got)
            except ProtocolError:
                self.is_closed = True
                raise
            if got is None:
                return
            if event:
                yield event

    def _next_frame(self):
        """(is_last, opcode, payload), or None if it is not all there."""
        data = self.data
        if len(data) < 2:
            return None
        is_last, opcode, n, at = data[0] >= 0x80, data[0] & 0x0F, data[1] & 0x7F, 2
        self._check(data[0], data[1], is_last, opcode, n)
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(data) < at:
                return None
            shortest = 126 if n == 126 else 1 << 16
            n = int.from_bytes(data[2:at], "big")
            if n < shortest or n >= 1 << 63:
                raise ProtocolError(PROTOCOL_ERROR, "a length is not written in its shortest form")
        if opcode < CLOSE and self.size + n > self.message_max:
            raise ProtocolError(TOO_BIG, "a message has more than %d bytes" % self.message_max)
        if len(data) < at + 4 + n:
            return None
        payload = unmask(bytes(data[at + 4:at + 4 + n]), bytes(data[at:at + 4]))
        del data[:at + 4 + n]
        return is_last, opcode, payload

    def _check(self, first, second, is_last, opcode, n):
        if first & 0x70:
            raise ProtocolError(PROTOCOL_ERROR, "reserved bits are set")
        if not second & 0x80:
            raise ProtocolError(PROTOCOL_ERROR, "a frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise ProtocolError(PROTOCOL_ERROR, "opcode %d is not known" % opcode)
            if not is_last or n > 125:
                raise ProtocolError(PROTOCOL_ERROR, "a control frame is fragmented or too long")
        elif opcode > BINARY:
            raise ProtocolError(PROTOCOL_ERROR, "opcode %d is not known" % opcode)
        elif (opcode == CONTINUATION) != (self.kind is not None):
            raise ProtocolError(PROTOCOL_ERROR, "a continuation without a start, or a start within")

    def _take(self, is_last, opcode, payload):
        if opcode == CLOSE:
            self.is_closed = True
            return CLOSE, _closing(payload)
        if opcode >= CLOSE:
            return opcode, payload
        if opcode != CONTINUATION:
            self.kind = opcode
            self.decode = codecs.getincrementaldecoder("utf-8")().decode if opcode == TEXT else None
        self.size += len(payload)
        if self.decode:
            try:
                payload = self.decode(payload, is_last)
            except UnicodeDecodeError:
                raise ProtocolError(BAD_DATA, "a text is not UTF-8") from None
        if payload:
            self.parts.append(payload)
        if not is_last:
            if len(self.parts) > 1024:  # many small pieces cost more than their bytes
                self.parts = [self._joined()]
            return None
        event = self.kind, self._joined()
        self.kind, self.parts, self.size = None, [], 0
        return event

    def _joined(self):
        return ("" if self.kind == TEXT else b"").join(self.parts)


def _closing(payload):
    if not payload:
        return NO_CODE, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_close_code(code):
        raise ProtocolError(PROTOCOL_ERROR, "the peer closes with a code that is not allowed")
    try:
        return code, payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "the reason is not UTF-8") from None
