"""The names of what bulk bytes may be packed with; `deflate.py` packs."""

#: What `GetRequest.compression` and, of a server that unpacks it, `ServerHello.features` may name: "zlib" is RFC 1950.
COMPRESSIONS = ("zlib",)
