#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sockets that do what they are told, for tests of what a program may send, from which address, and who answers.

  speaker.py 4|6     reads commands, "NAME VERB [WORD]..." on a line, and answers each with a line: a value, ok, or an errno

  NAME udp|tcp|ping|raw|header|mptcp|sctp [DEVICE]
                                   opens a socket; with header, the program makes the IP header
  NAME share                       SO_REUSEPORT
  NAME transparent, NAME freebind  IP_TRANSPARENT, IP_FREEBIND
  NAME errors                      IP_RECVERR: a datagram socket gets routers' errors, too
  NAME unicast-if DEVICE           IP_UNICAST_IF
  NAME cork 0|1                    UDP_CORK
  NAME segment SIZE                UDP_SEGMENT
  NAME md5 ADDR                    TCP_MD5SIG with this peer
  NAME bind ADDR [PORT]            answers with the port that the socket has now
  NAME connect ADDR PORT           waits for TCP's handshake; answers with the port of the socket
  NAME begin ADDR PORT             the same without waiting
  NAME disconnect                  connect(AF_UNSPEC)
  NAME say ADDR PORT [TEXT]        sends a datagram
  NAME say-from SOURCE ADDR PORT [TEXT]
                                   sends a datagram from that source (IP_PKTINFO, IPV6_PKTINFO)
  NAME say-by DEVICE ADDR PORT     sends a datagram by that device (likewise)
  NAME forge SOURCE ADDR udp|echo PORT
                                   sends a datagram or an echo request with an IP header that the program has made
  NAME write [TEXT|SIZE]           sends a datagram or data to the connected address; a number means so many octets
  NAME hear [SECONDS]              answers "TEXT ADDR PORT" for a datagram; for data their text, or their number if there are many;
                                   "nothing" if nothing comes, and "end" at the end
  NAME talk COUNT [SIZE]           writes and hears the echo, so many times; answers how often that worked, and the last error
  NAME listen
  NAME fast                        TCP_FASTOPEN, for a listener
  NAME begin-fast ADDR PORT        sends a SYN with data (MSG_FASTOPEN), without waiting
  NAME accept NEW                  accepts a socket and calls it NEW
  NAME greet TEXT|- [plain]        becomes a server: a TCP connection gets the text and then an echo of what it sends; a datagram
                                   is returned with the text before it, from the address to which it was sent (IP_PKTINFO), or
                                   with plain from the one that the kernel chooses; - stands for the peer's address
  NAME visits ADDR PORT COUNT [bind=ADDR] [dev=DEVICE] [sport=PORT] [size=SIZE]
                                   makes so many connections, one after the other; answers how often each greeting or errno came
  NAME roams PREFIX FIRST LAST PORT makes one connection to each of these addresses, and sends a datagram that is answered; counts likewise
  NAME flag                        answers with the value of IP_TRANSPARENT
  NAME close

No command waits longer than SILENCE seconds.
"""

import ctypes
import errno
import os
import selectors
import socket
import struct
import sys

from inject import network, transport

IP_PKTINFO, IP_FREEBIND, IP_TRANSPARENT, IP_UNICAST_IF, IP_HDRINCL, IP_RECVERR = 8, 15, 19, 50, 3, 11
IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_TRANSPARENT, IPV6_FREEBIND, IPV6_UNICAST_IF, IPV6_HDRINCL, IPV6_RECVERR = 49, 50, 75, 78, 76, 36, 25
SO_BINDTODEVICE, TCP_MD5SIG, UDP_CORK, UDP_SEGMENT = 25, 14, 1, 103
MPTCP, SCTP = 262, 132
SILENCE = 3.0
LIBC = ctypes.CDLL(None, use_errno=True)
SIX = sys.argv[1] == "6"
FAMILY = socket.AF_INET6 if SIX else socket.AF_INET
IP = socket.IPPROTO_IPV6 if SIX else socket.IPPROTO_IP
PING = socket.IPPROTO_ICMPV6 if SIX else socket.IPPROTO_ICMP
SOCKETS = {}
# GREETS has the text of each server's socket, and GUESTS the connections that a server has accepted.
GREETS = {}
GUESTS = {}
WATCH = selectors.DefaultSelector()


def here(addr):
    """Returns an address as a socket of this family takes it: an IPv6 socket gets a mapped IPv4 address."""
    return f"::ffff:{addr}" if SIX and ":" not in addr else addr


def shown(peer):
    """Returns the peer's address as its own family writes it."""
    return peer[0].removeprefix("::ffff:")


def opened(kind, protocol=0):
    def command(name, device=None):
        SOCKETS[name] = sock = socket.socket(FAMILY, kind, protocol)
        sock.settimeout(10)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    return command


def header(name, device=None):
    opened(socket.SOCK_RAW, socket.IPPROTO_RAW)(name, device)
    SOCKETS[name].setsockopt(IP, IPV6_HDRINCL if SIX else IP_HDRINCL, 1)


def option(level, number, value=1):
    def command(name, given=None):
        SOCKETS[name].setsockopt(level, number, value if given is None else int(given))
    return command


def unicast_if(name, device):
    index = socket.htonl(socket.if_nametoindex(device))
    SOCKETS[name].setsockopt(IP, IPV6_UNICAST_IF if SIX else IP_UNICAST_IF, struct.pack("=I", index))


def sockaddr(addr):
    if SIX:
        return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, addr), 0)
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(addr))


def md5(name, addr):
    # struct tcp_md5sig: address, flags, prefix length, length of the key, device, key.
    key = b"key"
    SOCKETS[name].setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG,
                             struct.pack("=128sBBHI80s", sockaddr(addr), 0, 0, len(key), 0, key))


def bind(name, addr, port="0"):
    SOCKETS[name].bind((here(addr), int(port)))
    return SOCKETS[name].getsockname()[1]


def connect(name, addr, port):
    SOCKETS[name].connect((here(addr), int(port)))
    return SOCKETS[name].getsockname()[1]


def begin(name, addr, port):
    SOCKETS[name].setblocking(False)
    connect(name, addr, port)


def begin_fast(name, addr, port):
    SOCKETS[name].sendto(payload(name), socket.MSG_FASTOPEN, (here(addr), int(port)))


def disconnect(name):
    if LIBC.connect(SOCKETS[name].fileno(), bytes(28), 28):
        raise OSError(ctypes.get_errno(), "connect")


def payload(name, text=None):
    if text is None:
        # A ping socket sends an echo request.
        return struct.pack("!BBHHH", 128 if SIX else 8, 0, 0, 0, 1) + b"speaker!" if SOCKETS[name].proto == PING else b"speaker"
    return bytes(int(text)) if text.isdigit() else text.encode()


def say(name, addr, port, text=None):
    SOCKETS[name].sendto(payload(name, text), (here(addr), int(port)))


def info(addr, index, source=None):
    """Returns the control message that chooses a source or a device for a datagram to addr."""
    if ":" in addr:
        return (socket.IPPROTO_IPV6, IPV6_PKTINFO,
                (socket.inet_pton(socket.AF_INET6, source) if source else bytes(16)) + struct.pack("I", index))
    return (socket.IPPROTO_IP, IP_PKTINFO,
            struct.pack("i", index) + (socket.inet_aton(source) if source else bytes(4)) + bytes(4))


def say_from(name, source, addr, port, text=None):
    SOCKETS[name].sendmsg([payload(name, text)], [info(addr, 0, source)], 0, (here(addr), int(port)))


def say_by(name, device, addr, port):
    SOCKETS[name].sendmsg([payload(name)], [info(addr, socket.if_nametoindex(device))], 0, (here(addr), int(port)))


def forge(name, source, addr, what, port):
    if what == "udp":
        body = transport(source, addr, 17, struct.pack("!HHHH", int(port), int(port), 14, 0) + b"forged", 6, False)
        packet = network(source, addr, 17, body, 64)
    else:
        body = struct.pack("!BBHHH", 128 if SIX else 8, 0, 0, int(port), 1) + b"forged"
        packet = network(source, addr, PING, transport(source, addr, PING, body, 2, False, pseudo=SIX), 64)
    SOCKETS[name].sendto(packet, (addr, 0))


def write(name, text=None):
    SOCKETS[name].sendall(payload(name, text))


def hear(name, seconds=SILENCE):
    sock = SOCKETS[name]
    sock.settimeout(float(seconds))
    try:
        data, peer = sock.recvfrom(65536)
    except TimeoutError:
        return "nothing"
    if sock.type == socket.SOCK_STREAM:
        return ("end" if not data else len(data) if len(data) > 80 else data.decode().strip())
    return f"{len(data) if len(data) > 80 else data.decode(errors='replace')} {shown(peer)} {peer[1]}"


def talk(name, count, size="8"):
    """Sends and hears the echo, over TCP, UDP or SCTP; a greeting before it does not count."""
    sock, size, done = SOCKETS[name], int(size), 0
    sock.settimeout(SILENCE)
    stream = sock.type == socket.SOCK_STREAM
    try:
        for number in range(int(count)):
            data = f"{number:08}".encode() * (size // 8)
            sock.sendall(data)
            got = b""
            while not got.endswith(data):
                part = sock.recv(65536)
                if not part:
                    return f"{done} end"
                got = got + part if stream else part
            done += 1
    except TimeoutError:
        return f"{done} silence"
    except OSError as problem:
        return f"{done} {errno.errorcode.get(problem.errno, problem)}"
    return done


def accept(name, new):
    SOCKETS[new], _ = SOCKETS[name].accept()


def greet(name, text, plain=None):
    sock = SOCKETS[name]
    GREETS[sock] = text
    if sock.type == socket.SOCK_STREAM:
        sock.listen(128)
    elif not plain:
        sock.setsockopt(IP, IPV6_RECVPKTINFO if SIX else IP_PKTINFO, 1)
    sock.setblocking(False)
    WATCH.register(sock, selectors.EVENT_READ, serve_stream if sock.type == socket.SOCK_STREAM else serve_datagram)


def serve_stream(sock):
    guest, peer = sock.accept()
    guest.setblocking(True)
    guest.settimeout(SILENCE)
    GUESTS[guest] = sock
    WATCH.register(guest, selectors.EVENT_READ, serve_guest)
    text = GREETS[sock]
    guest.sendall((shown(peer) if text == "-" else text).encode() + b"\n")


def serve_guest(guest):
    try:
        data = guest.recv(65536)
        if data:
            guest.sendall(data)
            return
    except OSError:
        pass
    leave(guest)


def leave(guest):
    WATCH.unregister(guest)
    GUESTS.pop(guest)
    guest.close()


def serve_datagram(sock):
    data, control, _, peer = sock.recvmsg(65536, 512)
    text = GREETS[sock]
    back = (shown(peer) if text == "-" else text).encode() + b" " + data
    answer = []
    for level, kind, value in control:
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
            answer = [(level, kind, value[:16] + bytes(4))]
        elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            # The answer comes from the address at which the datagram was delivered.
            answer = [(level, kind, bytes(4) + value[4:8] + bytes(4))]
    sock.sendmsg([back], answer, 0, peer)


def visit(addr, port, options):
    with socket.socket(FAMILY, socket.SOCK_STREAM) as sock:
        sock.settimeout(SILENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "dev" in options:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, options["dev"].encode())
        if "bind" in options or "sport" in options:
            sock.bind((here(options["bind"]) if "bind" in options else "", int(options.get("sport", 0))))
        try:
            sock.connect((here(addr), int(port)))
            greeting = b""
            while not greeting.endswith(b"\n"):
                part = sock.recv(100)
                if not part:
                    return "end"
                greeting += part
            # Has the server echo data, which shows that it is the one that has greeted.
            size = int(options.get("size", 4))
            sock.sendall(bytes(size))
            while size:
                part = sock.recv(65536)
                if not part:
                    return "end"
                size -= len(part)
            return greeting.decode().strip()
        except TimeoutError:
            return "silence"
        except OSError as problem:
            return errno.errorcode.get(problem.errno, str(problem))


def visits(_name, addr, port, count, *options):
    seen = {}
    options = dict(word.split("=") for word in options)
    for _ in range(int(count)):
        what = visit(addr, port, options)
        seen[what] = seen.get(what, 0) + 1
    return tally(seen)


def roams(_name, prefix, first, last, port):
    seen = {}
    for number in range(int(first), int(last) + 1):
        what = visit(f"{prefix}{number}", port, {})
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SILENCE)
            try:
                sock.connect((here(f"{prefix}{number}"), int(port)))
                sock.send(b"hello")
                what += "+" + sock.recv(100).decode().split()[0]
            except TimeoutError:
                what += "+silence"
            except OSError as problem:
                what += "+" + errno.errorcode.get(problem.errno, str(problem))
        seen[what] = seen.get(what, 0) + 1
    return tally(seen)


def tally(seen):
    return " ".join(f"{what} {times}" for what, times in sorted(seen.items()))


def close(name):
    sock = SOCKETS.pop(name)
    if GREETS.pop(sock, None):
        WATCH.unregister(sock)
        for guest in [guest for guest, by in GUESTS.items() if by is sock]:
            leave(guest)
    sock.close()


def flag(name):
    return SOCKETS[name].getsockopt(socket.IPPROTO_IP, IP_TRANSPARENT)


VERBS = {
    "udp": opened(socket.SOCK_DGRAM), "tcp": opened(socket.SOCK_STREAM), "ping": opened(socket.SOCK_DGRAM, PING),
    "raw": opened(socket.SOCK_RAW, socket.IPPROTO_UDP), "mptcp": opened(socket.SOCK_STREAM, MPTCP),
    "sctp": opened(socket.SOCK_STREAM, SCTP), "header": header,
    "share": option(socket.SOL_SOCKET, socket.SO_REUSEPORT), "cork": option(socket.IPPROTO_UDP, UDP_CORK),
    "segment": option(socket.IPPROTO_UDP, UDP_SEGMENT), "md5": md5, "unicast-if": unicast_if,
    "transparent": option(IP, IPV6_TRANSPARENT if SIX else IP_TRANSPARENT),
    "freebind": option(IP, IPV6_FREEBIND if SIX else IP_FREEBIND),
    "errors": option(IP, IPV6_RECVERR if SIX else IP_RECVERR),
    "fast": option(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8), "begin-fast": begin_fast,
    "bind": bind, "connect": connect, "begin": begin,
    "disconnect": disconnect, "say": say, "say-from": say_from, "say-by": say_by, "forge": forge, "write": write, "hear": hear,
    "talk": talk, "accept": accept, "greet": greet, "visits": visits, "roams": roams, "flag": flag,
    "listen": lambda name: SOCKETS[name].listen(8), "close": close,
}


def obey(line):
    name, verb, *words = line.split()
    try:
        answer = VERBS[verb](name, *words)
    except OSError as problem:
        answer = errno.errorcode.get(problem.errno, str(problem))
    print("ok" if answer is None else answer, flush=True)


def main():
    print("uid", os.getuid(), flush=True)
    WATCH.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
    unread = b""
    while True:
        for key, _ in WATCH.select():
            if key.data:
                try:
                    key.data(key.fileobj)
                except OSError as problem:
                    print(f"{key.data.__name__}: {problem}", file=sys.stderr)
                continue
            data = os.read(key.fd, 65536)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                obey(line.decode())
            # The command may have closed a server on which something was to be read, so the list is out of date.
            break


if __name__ == "__main__":
    main()
