"""A DNS server that knows one address for every name: this machine's. It says on which address it listens."""

import socket
import struct
import sys

A, IN = 1, 1

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((sys.argv[1], 53))
    print("listening", flush=True)
    while True:
        query, client = server.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        records = int(question[-4:] == struct.pack("!HH", A, IN))
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, records, 0, 0)
        record = struct.pack("!HHHLH4s", 0xC00C, A, IN, 60, 4, socket.inet_aton("127.0.0.1"))
        server.sendto(head + question + record * records, client)
