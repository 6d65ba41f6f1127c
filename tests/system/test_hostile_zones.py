"""Zones that a hostile sender writes: no trick costs more than 50 questions, ends a worker, or hides the policy of a domain that he
pretends to be."""
import pytest

from dns_server import GARBAGE, SERVFAIL, TIMEOUT, TRUNCATED, WRONG_ID

QUESTIONS = 50
AUTH = {"spf.enabled": "true", "dkim.enabled": "true", "dmarc.enabled": "true", "arc.enabled": "true"}
VICTIM = {"_dmarc.victim.test": {"TXT": ['"v=DMARC1; p=reject"']}, "victim.test": {"A": ["192.0.2.1"], "TXT": ['"v=spf1 -all"']}}
FORGED = "From: boss@victim.test\r\nTo: alice@example.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@victim.test>\r\nSubject: x\r\n{more}\r\nPay.\r\n"


def txt(text):
    return '"' + '" "'.join(text[i:i + 250] for i in range(0, len(text), 250)) + '"'


def spf(text, **more):
    return {"TXT": [txt("v=spf1 " + text)], **more}


def tree(width, depth, name="evil.test"):
    """Includes in includes: width ** depth of them."""
    if depth == 0:
        return {name: spf("-all")}
    below = [f"n{i}.{name}" for i in range(width)]
    zones = {name: spf(" ".join(f"include:{b}" for b in below) + " -all")}
    for b in below:
        zones.update(tree(width, depth - 1, b))
    return zones


HOSTS = [f"h{i}.evil.test" for i in range(100)]
SPF_TRICKS = {
    "tree": (tree(4, 3), "permerror"),
    "includes-itself": ({"evil.test": spf("include:evil.test -all")}, "permerror"),
    "redirects-to-itself": ({"evil.test": spf("redirect=evil.test")}, "permerror"),
    "loop-of-two": ({"evil.test": spf("include:b.evil.test"), "b.evil.test": spf("redirect=evil.test")}, "permerror"),
    "hundred-mx": ({"evil.test": spf("mx -all", MX=[f"10 {h}." for h in HOSTS]), **{h: {"A": ["192.0.2.9"]} for h in HOSTS}}, "permerror"),
    "ten-of-ten-mx": ({"evil.test": spf(" ".join(f"mx:m{i}.evil.test" for i in range(10)) + " -all"),
                       **{f"m{i}.evil.test": {"MX": [f"10 h{i}{k}.evil.test." for k in range(10)]} for i in range(10)},
                       **{f"h{i}{k}.evil.test": {"A": ["192.0.2.9"]} for i in range(10) for k in range(10)}}, None),
    "void": ({"evil.test": spf(" ".join(f"a:v{i}.evil.test" for i in range(9)) + " -all")}, "permerror"),
    "exists-of-macros": ({"evil.test": spf(" ".join("exists:%{l}.%{i}.%{d}.%{h}.x" + str(i) + ".evil.test" for i in range(10)) + " -all")}, "permerror"),
    "long-macros": ({"evil.test": spf("exists:" + "%{l128r.-+,/_=}.%{d128r}." * 8 + "evil.test -all")}, None),
    "macro-digits": ({"evil.test": spf("exists:%{l999999999999999999999r}.evil.test -all")}, None),
    "record-of-60-KiB": ({"evil.test": spf("ip4:192.0.2.1 " * 4000 + "-all")}, None),
    "two-hundred-records": ({"evil.test": {"TXT": [f'"text {i}"' for i in range(200)] + ['"v=spf1 -all"']}}, None),
    "cname-loop": ({"evil.test": {"CNAME": ["c.evil.test."]}, "c.evil.test": {"CNAME": ["evil.test."]}}, None),
    "garbage": ({"evil.test": GARBAGE}, None),
    "wrong-id": ({"evil.test": {"TXT": (WRONG_ID, ['"v=spf1 +all"'])}}, None),
    "truncated": ({"evil.test": {"TXT": (TRUNCATED, ['"v=spf1 -all"'])}}, "fail"),
    "servfail": ({"evil.test": SERVFAIL}, "temperror"),
    "silent": ({"evil.test": spf("include:s.evil.test -all"), "s.evil.test": TIMEOUT}, "temperror"),
    "bytes": ({"evil.test": {"TXT": ['"v=spf1 a:\\000\\255\\010.test -all"']}}, None),
}


@pytest.fixture(scope="module")
def server(make_module_server):
    return make_module_server({**AUTH, "resolver.timeout": "1s"})


@pytest.fixture(scope="module")
def make_module_server():
    from server import Server
    servers = []

    def make(options):
        s = Server(options)
        s.start()
        s.add_domain("example.test", alice="alice-secret")
        servers.append(s)
        return s

    yield make
    for s in servers:
        s.__exit__(None, None, None)


def judged(server, tmp_path, zones, sender="someone@evil.test", more=""):
    """The verdict, and what was asked in DNS."""
    path = tmp_path / "mail"
    path.write_bytes(FORGED.format(more=more).encode())
    server.reload()  # a new cache
    server.dns.zones = {**VICTIM, **zones}
    server.dns.asked.clear()
    pids = server.pids("filter")
    v = server.json("filter", "test", path, "--ip", "192.0.2.77", "--helo", "h.evil.test", "--from", sender)
    assert server.pids("filter") == pids
    return v, {(str(name).lower(), kind) for name, kind in server.dns.asked}


def check(v, name):
    return [c for c in v["checks"] if c["name"] == name]


@pytest.mark.parametrize("name", SPF_TRICKS)
def test_spf(server, tmp_path, name):
    zones, result = SPF_TRICKS[name]
    v, asked = judged(server, tmp_path, zones)
    spf_row, = check(v, "spf")
    assert spf_row["result"] != "pass", v
    assert result is None or spf_row["result"] == result, v
    assert len(asked) <= QUESTIONS, len(asked)
    # whatever his own zone does, the mail says that the victim wrote it
    assert (v["verdict"], v["reply"][:9]) == ("refuse", "550 5.7.1") and "victim.test" in v["reply"], v


@pytest.mark.parametrize("what", ["keys", "large-keys", "seals", "all"])
def test_victims_policy_is_found(server, tmp_path, what):
    """As many signatures and seals as fit, each with a key of its own to ask for, and answers as large as DNS carries."""
    field = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=evil.test; s=k{i}; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
    arc = ("ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d=evil.test; s=a{i}; b=AAAA\r\n"
           "ARC-Message-Signature: i={i}; a=rsa-sha256; c=relaxed/relaxed; d=evil.test; s=m{i}; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
           "ARC-Authentication-Results: i={i}; evil.test; dmarc=pass header.from=victim.test\r\n")
    large = {"TXT": [txt("v=DKIM1; k=rsa; n=" + "n" * 20000 + "; p=AAAA")]}
    zones = {"evil.test": spf(" ".join(f"include:i{i}.evil.test" for i in range(9)) + " -all", MX=["10 evil.test."], A=["192.0.2.9"])}
    zones.update({f"i{i}.evil.test": spf("ip4:192.0.2.1 " * 1400 + "-all") for i in range(9)})
    more = ""
    if what in ("keys", "large-keys", "all"):
        more += "".join(field.format(i=i) for i in range(200))
        if what != "keys":
            zones.update({f"k{i}._domainkey.evil.test": large for i in range(200)})
    if what in ("seals", "all"):
        more = "".join(arc.format(i=i, cv="none" if i == 1 else "pass") for i in range(50, 0, -1)) + more
        zones.update({f"{c}{i}._domainkey.evil.test": large for i in range(51) for c in "am"})
    v, asked = judged(server, tmp_path, zones, more=more)
    assert len(asked) <= QUESTIONS, len(asked)
    assert v["verdict"] == "refuse" and "victim.test" in v["reply"], v
    assert check(v, "dmarc")[0]["result"] == "fail", v
