"""The public suite of RFC 7208, every case through a whole server: the CLI's question, the filter, the resolver, DNS over UDP."""
import os
from concurrent.futures import ThreadPoolExecutor

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from dns_server import TIMEOUT, DnsServer
from server import Server, message

yaml = pytest.importorskip("yaml")
SUITE = os.path.join(os.path.dirname(__file__), "../../../shared/conformance/spf/rfc7208-tests.yml")
SAYS = ", and says: "


def bytes_of(text):
    return text.encode("utf-8")


def rdata_of(kind, value):
    """The bytes of a record as the suite writes it; names in it are plain."""
    if kind == "TXT":
        parts = [bytes_of(v) for v in (value if isinstance(value, list) else [value])]
        parts = [p[i:i + 255] for p in parts for i in range(0, max(len(p), 1), 255)]
        return b"".join(bytes([len(p)]) + p for p in parts)
    if kind == "MX":
        return value[0].to_bytes(2, "big") + dns.name.from_text(value[1]).to_wire()
    if kind in ("PTR", "CNAME"):
        return dns.name.from_text(value).to_wire()
    return dns.rdata.from_text("IN", kind, value).to_wire()


def zone_of(scenario):
    """{name: {type: [rdata] or TIMEOUT}}: what stands as SPF is TXT too, unless the name has TXT of its own."""
    zone = {}
    for name, records in (scenario["zonedata"] or {}).items():
        types = zone.setdefault(name.lower().rstrip("."), {})
        given = {kind for r in records if isinstance(r, dict) for kind in r}
        for record in records:
            if record == "TIMEOUT":
                types["*"] = TIMEOUT
                continue
            (kind, value), = record.items()
            if kind == "SPF" and "TXT" in given or value == "NONE":
                continue
            kind = "TXT" if kind == "SPF" else kind
            if value == "TIMEOUT":
                types[kind] = TIMEOUT
            else:
                types.setdefault(kind, []).append(rdata_of(kind, value))
    return zone


class SuiteDns(DnsServer):
    """Serves bytes as they are: what the suite has is often no text of a zone file."""

    def collect(self, response, qname, rdtype):
        name = qname
        for _ in range(8):
            types = self.find(b".".join(name.labels[:-1]).decode("latin-1").lower())
            kind = dns.rdatatype.to_text(rdtype)
            if types is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return None
            if "CNAME" in types:
                alias = types["CNAME"][0]
                response.answer.append(self.rrset(name, dns.rdatatype.CNAME, [alias]))
                name = dns.name.from_wire(alias, 0)[0]
                continue
            values = types.get(kind, types.get("*", []))
            if values == TIMEOUT:
                return TIMEOUT
            if values:
                response.answer.append(self.rrset(name, rdtype, values))
            return None
        return None

    @staticmethod
    def rrset(name, rdtype, values):
        rrset = dns.rrset.RRset(name, dns.rdataclass.IN, rdtype)
        rrset.update_ttl(300)
        for wire in values:
            rrset.add(dns.rdata.from_wire(dns.rdataclass.IN, rdtype, wire, 0, len(wire)))
        return rrset


def judged(server, file, test):
    """(result, explanation or None) of the product."""
    words = ["--ip", test["host"], "--helo", test["helo"], "--from", test["mailfrom"]]
    v = server.json("filter", "test", file, *words)
    check, = [c for c in v["checks"] if c["name"] == "spf"]
    assert f"; spf={check['result']}" in v["authentication_results"]
    _, says, text = check["text"].partition(SAYS)
    return check["result"], text if says else None


def wrong_of(server, file, name, test):
    """A line on what is wrong with the answer to a case, or None."""
    result, text = judged(server, file, test)
    allowed = test["result"] if isinstance(test["result"], list) else [test["result"]]
    wanted = test.get("explanation")
    if result not in allowed:
        return f"{name}: {result} instead of {test['result']}"
    if result == "fail" and wanted is not None and text != (None if wanted == "DEFAULT" else wanted):
        return f"{name}: says {text!r} instead of {wanted!r}"
    return None


def test_public_suite(tmp_path):
    if not os.path.exists(SUITE):
        pytest.skip("the suite is not here")
    with open(SUITE, encoding="utf-8") as f:
        scenarios = list(yaml.safe_load_all(f))
    file = tmp_path / "mail"
    file.write_bytes(message("one").as_bytes())
    wrong, n = [], 0
    whole = Server({"spf.enabled": "true"})
    whole.dns = SuiteDns(whole.ports["dns"]).start()
    with whole as server, ThreadPoolExecutor(4) as pool:
        for scenario in scenarios:
            server.dns.zones = zone_of(scenario)
            server.reload()  # forgets what the last one had
            cases = scenario["tests"].items()
            wrong += filter(None, pool.map(lambda case: wrong_of(server, file, *case), cases))
            n += len(cases)
    assert n == 200 and wrong == [], "\n".join(wrong)
