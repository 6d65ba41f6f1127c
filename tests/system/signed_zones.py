"""nsd (Debian's) with zones signed by ldns-signzone, on a loopback port: for DANE.

    zones = SignedZones(dir)
    zones.add("signed.example", "mx A 127.0.0.1", ...)      # lines of a zone file; signed
    zones.add("plain.example", ..., sign=False)
    zones.add("old.example", ..., expired=True)             # its signatures were good once
    zones.start()         # zones.port, and zones.anchor: a file with the keys of the signed zones
    zones.change("signed.example", ...)                     # other contents, signed anew
    zones.stop()
"""
import hashlib
import os
import signal
import socket
import subprocess
import time

import dns.message
import dns.query


def run(*words, cwd):
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True).stdout


def tlsa(cert, usage=3, selector=1, matching=1):
    """The record for a PEM certificate, as it stands in a zone file."""
    if selector == 1:
        pem = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-pubkey"], check=True, capture_output=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem, check=True, capture_output=True).stdout
    else:
        der = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], check=True, capture_output=True).stdout
    data = [der.hex(), hashlib.sha256(der).hexdigest(), hashlib.sha512(der).hexdigest()][matching]
    return "TLSA %d %d %d %s" % (usage, selector, matching, data)


def free_port():
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                pass


class SignedZones:
    def __init__(self, folder):
        self.dir = str(folder)
        self.zones = {}   # name -> (key, sign, expired)
        self.process = None

    def add(self, zone, *lines, sign=True, expired=False):
        key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone, cwd=self.dir).strip() if sign else None
        self.zones[zone] = (key, expired)
        self.write(zone, lines)

    def write(self, zone, lines):
        key, expired = self.zones[zone]
        file = os.path.join(self.dir, zone)
        with open(file + ".new", "w") as f:
            f.write("$ORIGIN %s.\n$TTL 1\n@ SOA ns hostmaster %d 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n" % (zone, time.time_ns() // 10**6 % 2**31))
            f.write("\n".join(lines) + "\n")
        if key:
            day = 86400
            begin, end = (time.time() - 30 * day, time.time() - 2 * day) if expired else (time.time() - day, time.time() + 5 * day)
            stamps = [time.strftime("%Y%m%d%H%M%S", time.gmtime(t)) for t in (begin, end)]
            run("ldns-signzone", "-i", stamps[0], "-e", stamps[1], "-o", zone + ".", "-f", zone + ".signed", zone + ".new", key, cwd=self.dir)
            os.rename(file + ".signed", file + ".new")
        os.rename(file + ".new", file)

    def start(self):
        self.port = free_port()
        self.anchor = os.path.join(self.dir, "anchor")
        with open(self.anchor, "w") as f:
            for key, _ in self.zones.values():
                if key:
                    f.write(open(os.path.join(self.dir, key + ".ds")).read())
        with open(os.path.join(self.dir, "nsd.conf"), "w") as f:
            f.write("""server:
  ip-address: 127.0.0.1@%d
  username: ""
  chroot: ""
  zonesdir: "%s"
  pidfile: "%s/nsd.pid"
  xfrdfile: "%s/xfrd.state"
  zonelistfile: "%s/zone.list"
  xfrdir: "%s"
  database: ""
  server-count: 1
  rrl-ratelimit: 0
  hide-version: yes
remote-control:
  control-enable: no
""" % (self.port, *[self.dir] * 5))
            for zone in self.zones:
                f.write('zone:\n  name: "%s"\n  zonefile: "%s"\n' % (zone, zone))
        nsd = "/usr/sbin/nsd" if os.path.exists("/usr/sbin/nsd") else "nsd"
        self.process = subprocess.Popen([nsd, "-d", "-c", os.path.join(self.dir, "nsd.conf")], stdout=subprocess.DEVNULL,
                                        stderr=open(os.path.join(self.dir, "nsd.log"), "w"))
        self.wait()
        return self

    def serial(self, zone):
        reply = dns.query.udp(dns.message.make_query(zone + ".", "SOA"), "127.0.0.1", port=self.port, timeout=1)
        return reply.answer[0][0].serial if reply.answer else None

    def wait(self):
        """Until every zone is served as it stands in its file."""
        for _ in range(200):
            try:
                if all("%d" % self.serial(z) in open(os.path.join(self.dir, z)).read() for z in self.zones):
                    return
            except (OSError, dns.exception.DNSException, TypeError):
                pass
            assert self.process.poll() is None, open(os.path.join(self.dir, "nsd.log")).read()
            time.sleep(0.05)
        raise AssertionError("nsd does not serve the zones: " + open(os.path.join(self.dir, "nsd.log")).read())

    def change(self, zone, *lines):
        self.write(zone, lines)
        self.process.send_signal(signal.SIGHUP)
        self.wait()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
