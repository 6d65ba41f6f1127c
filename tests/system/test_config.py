"""Configuration errors name file and line, and what would be right."""
import re
import subprocess

import pytest

from server import BUILD, Server

ERRORS = [
    ("hostnam = x", "did you mean hostname"),
    ("limits { recipents = 5 }", "did you mean recipients"),
    ("limits { recipients = 0 }", "from 1 to 10000"),
    ("limits { message_size = 5MB }", "25M"),
    ("relay { lifetime = 5 }", "30s"),
    ("listen \"x\" { kind = mxx address = {\"127.0.0.1:1\"} }", "mx, submission, submissions"),
    ("spf {", "never closed"),
    ("sni \"a.test\" { certificate = \"/x\" }", "key"),
    ("trusted_networks = {\"10.0.0.0/33\"}", "192.0.2.0/24"),
]


def check(server):
    return subprocess.run([BUILD / "tegamid", "-t", "-c", server.conf], capture_output=True, text=True, timeout=20)


@pytest.fixture(scope="module")
def files():
    s = Server()
    yield s
    s.clean()


@pytest.mark.parametrize("text,advice", ERRORS, ids=[e[0][:20] for e in ERRORS])
def test_errors(files, text, advice):
    files.extra = text
    files.write_config()
    lines = files.config_text().splitlines()
    number = max(i for i, l in enumerate(lines, 1) if l == text)
    p = check(files)
    assert p.returncode == 1
    assert f"{files.conf}:{number}: " in p.stderr
    assert advice in p.stderr
    started = subprocess.run([BUILD / "tegamid", "-c", files.conf], capture_output=True, text=True, timeout=20)
    assert started.returncode == 1 and f"{files.conf}:{number}: " in started.stderr


def test_good_one(files):
    files.extra = ""
    files.write_config()
    assert check(files).returncode == 0


def test_missing_file(files):
    p = subprocess.run([BUILD / "tegamid", "-t", "-c", "/nowhere/x.conf"], capture_output=True, text=True)
    assert p.returncode == 1 and "/nowhere/x.conf" in p.stderr


def test_certificate_that_is_none(files):
    files.write_config()
    text = files.conf.read_text().replace("cert.pem", "nothing.pem")
    files.conf.write_text(text)
    p = subprocess.run([BUILD / "tegamid", "-c", files.conf], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "nothing.pem" in p.stderr


def test_example_of_the_contract(files):
    """The example in the manual is accepted as it stands (paths that are not there are no syntax errors)."""
    state = files.dir / "example"
    files.conf.write_text(f'''
hostname  = "mx.example.test"
state_dir = "{state}"                       # mail_dir defaults to state_dir/mail
tls {{ certificate = "{files.cert}"  key = "{files.key}" }}
listen "mx"   {{ kind = mx          address = {{"127.0.0.1:2525"}} }}
listen "sub"  {{ kind = submission  address = {{"127.0.0.1:2587"}} }}
listen "subs" {{ kind = submissions address = {{"127.0.0.1:2465"}} }}
resolver {{ servers = {{"127.0.0.1:5353"}}  timeout = 2s }}
trusted_networks = {{"192.0.2.0/24"}}        # may relay without AUTH: printers, scanners
trusted_proxies  = {{"127.0.0.1"}}           # may use XCLIENT and PROXY
spf {{ enabled = true }}  dkim {{ enabled = true }}  dmarc {{ enabled = true }}  arc {{ enabled = true }}
antivirus {{ enabled = true  database = "{files.dir}"  on_infected = refuse  on_error = defer }}
spam  {{ enabled = true  junk_score = 5  refuse_score = 15  dnsbl "bl.example" {{ weight = 3 }} }}
relay {{ retry = {{1m, 5m, 15m, 1h}}  lifetime = 5d  warn_after = 4h  port = 25  allow_loopback = false  smarthost = "" }}
route "peer.test" {{ host = "127.0.0.1:2626"  tls = none }}
limits {{ message_size = 50M  recipients = 1000  connections = 10000  connections_per_client = 50  min_free = 100M }}
delivery {{ subaddress_separator = "+"  junk_folder = "Junk"  default_quota = 0 }}
metrics {{ listen = "" }}   log {{ format = text  level = info  destination = stderr }}   history {{ keep = 30d }}
''')
    p = check(files)
    assert p.returncode == 0, p.stderr


def test_explain(files):
    files.write_config()
    one = files.cli("config", "explain", "limits.recipients")
    assert "default: 1000" in one and "1 to 10000" in one
    every = files.cli("config", "explain")
    assert len(every.splitlines()) > 50
    p = files.run("config", "explain", "limits.recipient", check=False)
    assert p.returncode == 1 and "limits.recipients" in p.stderr
    assert re.search(r"message_size", files.cli("config", "explain", "limits"))


def test_show(files):
    files.options["limits.recipients"] = "77"
    files.write_config()
    assert re.search(r"limits\.recipients\s*=?\s*77", files.cli("config", "show"))
