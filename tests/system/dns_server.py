"""A DNS server that says what a test wants: zone data as a dict, and answers that go wrong on purpose.

    dns = DnsServer(port)
    dns.zones = {
        "peer.test":    {"MX": ["10 mx.peer.test."], "TXT": ['"v=spf1 -all"']},
        "mx.peer.test": {"A": ["127.0.0.1"]},
        "slow.test":    TIMEOUT,                # for every type; or {"MX": SERVFAIL} for one
    }

Names that are not there are NXDOMAIN; types that a name does not have are empty answers; names between are there. CNAMEs are followed
as a real server would, at most eight steps (a loop is answered as far as that goes). `dns.asked` lists (name, type) of every question.
"""
import random
import socket
import struct
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

TIMEOUT = "timeout"        # no answer at all
SERVFAIL = "servfail"
REFUSED = "refused"
TRUNCATED = "truncated"    # over UDP: TC, nothing in it; whole over TCP. Give (TRUNCATED, [data...])
WRONG_ID = "wrong-id"      # an answer to a question nobody asked. Give (WRONG_ID, [data...])
GARBAGE = "garbage"        # bytes that are no message
SLOW = "slow"              # after a second. Give (SLOW, [data...])
ODD = (TIMEOUT, SERVFAIL, REFUSED, TRUNCATED, WRONG_ID, GARBAGE, SLOW)


class DnsServer:
    def __init__(self, port, zones=None):
        self.port = port
        self.zones = zones or {}
        self.ttl = 300  # s, of every record
        self.asked = []
        self.stopping = False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", port))
        self.tcp.listen(32)

    def start(self):
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()
        return self

    def stop(self):
        self.stopping = True
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    # -- what to say

    def find(self, name):
        """The data of a name, {} for one between others, None for none."""
        zones = {n.lower().rstrip("."): d for n, d in self.zones.items()}
        if name in zones:
            return zones[name]
        return {} if any(n.endswith("." + name) for n in zones) else None

    def collect(self, response, qname, rdtype):
        """Fill the answer; the odd thing to do instead, or None."""
        name, how = qname, None
        for _ in range(8):
            data = self.find(name.to_text(omit_final_dot=True).lower())
            if data is None:
                response.set_rcode(dns.rcode.NXDOMAIN if name == qname else dns.rcode.NOERROR)
                return how
            if not isinstance(data, dict):
                return data
            text = dns.rdatatype.to_text(rdtype)
            values = data.get(text)
            if isinstance(values, tuple):
                how, values = values
            if isinstance(values, str):
                return values
            if values:
                response.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", text, values))
                return how
            if "CNAME" not in data or text == "CNAME":
                return how
            response.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", "CNAME", data["CNAME"]))
            name = dns.name.from_text(data["CNAME"][0])
        return how

    def answer(self, wire, udp):
        """The bytes to send back, or None for silence."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.asked.append((question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)))
        response = dns.message.make_response(query, recursion_available=True)
        how = self.collect(response, question.name, question.rdtype)
        if how == TIMEOUT:
            return None
        if how == GARBAGE:
            return bytes(random.randrange(256) for _ in range(40))
        if how in (SERVFAIL, REFUSED):
            response.answer = []
            response.set_rcode(dns.rcode.SERVFAIL if how == SERVFAIL else dns.rcode.REFUSED)
        if how == WRONG_ID:
            response.id = (query.id + 1) & 0xffff
        if how == SLOW:
            time.sleep(1)
        if udp and (how == TRUNCATED or len(response.to_wire(max_size=65535)) > 1232):
            response.answer = []
            response.flags |= dns.flags.TC
        return response.to_wire(max_size=65535)

    # -- sockets

    def serve_udp(self):
        while not self.stopping:
            try:
                wire, client = self.udp.recvfrom(65535)
            except OSError:
                return
            threading.Thread(target=self.one_udp, args=(wire, client), daemon=True).start()

    def one_udp(self, wire, client):
        try:
            reply = self.answer(wire, True)
            if reply is not None:
                self.udp.sendto(reply, client)
        except (OSError, dns.exception.DNSException):
            pass

    def serve_tcp(self):
        while not self.stopping:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.one_tcp, args=(conn,), daemon=True).start()

    def one_tcp(self, conn):
        with conn:
            conn.settimeout(10)
            try:
                stream = conn.makefile("rwb")
                while len(head := stream.read(2)) == 2:
                    reply = self.answer(stream.read(struct.unpack("!H", head)[0]), False)
                    if reply is None:
                        return
                    stream.write(struct.pack("!H", len(reply)) + reply)
                    stream.flush()
            except (OSError, dns.exception.DNSException):
                pass
