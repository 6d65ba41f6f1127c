"""Certificates for peers of a test, from authorities of its own."""
import subprocess


def certificate(folder, name, host, ca=None, days="2", extra=()):
    """NAME.pem (certificate, its CA's, key) and NAME.crt."""
    def run(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name + ".key"]
    if ca is None:
        run("req", "-x509", *key, "-out", name + ".crt", "-days", days, "-subj", "/CN=" + host, *extra)
    else:
        run("req", *key, "-out", name + ".csr", "-subj", "/CN=" + host)
        (folder / "ext").write_text("subjectAltName=DNS:%s\n" % host)
        run("x509", "-req", "-in", name + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-CAcreateserial", "-days", days,
            "-extfile", "ext", "-out", name + ".crt", *extra)
    chain = (folder / (name + ".crt")).read_text() + ((folder / (ca + ".crt")).read_text() if ca else "")
    (folder / (name + ".pem")).write_text(chain + (folder / (name + ".key")).read_text())
