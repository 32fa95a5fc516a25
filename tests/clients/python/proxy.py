"""Passes HTTP connections on, and loses two in five of the answers: the request arrives, and the connection breaks.
usage: proxy.py HOST:PORT; prints its own address."""

import random
import socket
import sys
import threading

HOST, PORT = sys.argv[1].rsplit(":", 1)
LOST = 0.4


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has broken the connection


def serve(client):
    try:
        daemon = socket.create_connection((HOST, int(PORT)))
    except OSError:
        client.close()  # the daemon is down
        return
    threading.Thread(target=pump, args=(client, daemon), daemon=True).start()
    try:
        while data := daemon.recv(65536):
            if random.random() < LOST:
                break
            client.sendall(data)
    except OSError:
        pass  # the client is gone
    for end in (client, daemon):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
        end.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print("%s:%d" % listener.getsockname(), flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


main()
