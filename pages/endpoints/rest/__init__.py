"""The REST interface: parse, call one service function, encode."""
