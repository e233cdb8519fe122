"""The pattern of PublicKey: public keys in each form that the program takes, and no private one in any disguise.

Keys are made here by openssl and thrown away. A pattern cannot see all, such as an encrypted private key behind a public one
in bare base64: the program looks again.
"""

import base64
import json
import re
import subprocess
import tempfile

import cfn

BITS = (2048, 3072, 4096)


def openssl(*arguments, given=b""):
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout


def body(pem):
    return re.sub(r"-----.*?-----|\s", "", pem.decode())


def forms(pem, der):
    """How one PEM and its DER may be written into a parameter."""
    text, bare = pem.decode(), base64.b64encode(der).decode()
    yield from (text, text.strip(), text.replace("\n", "\\n"), text.replace("\n", "\r\n"), text.replace("\n", "\\r\\n"))
    yield from (text.replace("\n", " "), text.replace("\n", ""), bare, bare + "\n", body(pem))
    yield "\n".join(bare[at : at + 64] for at in range(0, len(bare), 64))


def public_forms(key, folder):
    spki = openssl("pkey", "-pubout", given=key), openssl("pkey", "-pubout", "-outform", "DER", given=key)
    pkcs1 = openssl("rsa", "-RSAPublicKey_out", given=key), openssl("rsa", "-RSAPublicKey_out", "-outform", "DER", given=key)
    path = f"{folder}/key.pem"
    with open(path, "wb") as file:
        file.write(key)
    request = ["req", "-x509", "-key", path, "-subj", "/CN=backups", "-days", "1"]
    certificate = openssl(*request), openssl(*request, "-outform", "DER")
    for pair in (spki, pkcs1, certificate):
        yield from forms(*pair)
    one, other = spki[0].decode(), base64.b64encode(pkcs1[1]).decode()
    yield json.dumps([one, other])
    yield json.dumps([other, one, certificate[0].decode()], indent=1)
    yield json.dumps([one])


def private_forms(key):
    lock = ["-aes256", "-passout", "pass:a pass phrase"]
    made = [
        (key, openssl("pkey", "-outform", "DER", given=key)),
        (openssl("rsa", "-traditional", given=key), openssl("rsa", "-traditional", "-outform", "DER", given=key)),
        (openssl("pkey", *lock, given=key), openssl("pkcs8", "-topk8", *lock[1:], "-v2", "aes256", "-outform", "DER", given=key)),
        (openssl("pkcs8", "-topk8", *lock[1:], "-v1", "PBE-SHA1-3DES", given=key), b""),
        (openssl("rsa", "-traditional", *lock, given=key), b""),
    ]
    public = openssl("pkey", "-pubout", given=key)
    for pem, der in made:
        for form in forms(pem, der or pem):
            yield form
            # Under another label, in a list, behind a public key, and once more in base64.
            renamed = re.sub("(ENCRYPTED |RSA )?PRIVATE KEY", "PUBLIC KEY", form)
            if not ("Proc-Type" in form or "DEK-Info" in form):
                yield renamed
            yield json.dumps([form])
            yield json.dumps([public.decode(), form])
            yield public.decode() + form
            yield base64.b64encode(form.encode()).decode()
    # Behind a public key in the same base64.
    bare = body(public)
    for pem in (key, made[1][0]):
        yield f"{bare}\n{body(pem)}"
        yield public.decode().replace("-----END", f"{body(pem)}\n-----END")


def main():
    parameter = cfn.load("template.yaml")["Parameters"]["PublicKey"]
    pattern = re.compile(parameter["AllowedPattern"])
    taken = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for bits in BITS:
            key = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")
            for text in public_forms(key, folder):
                assert pattern.fullmatch(text), f"a public key of {bits} bits is refused: {text[:80]!r}"
                taken += 1
            for text in private_forms(key):
                assert not pattern.fullmatch(text), f"a private key of {bits} bits is taken: {text[:80]!r}"
                refused += 1
    others = [
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        openssl("genpkey", "-algorithm", "ED25519"),
    ]
    for key in others:
        for text in forms(key, openssl("pkey", "-outform", "DER", given=key)):
            assert not pattern.fullmatch(text), text[:80]
    for text in ["public_key.pem", "ssm:/pgseal", "[]", '[""]', "ssh-rsa AAAAB3NzaC1yc2E", "x" * 4000, " " * 4000]:
        assert not pattern.fullmatch(text), text[:80]
    assert parameter["Default"] == "" and pattern.fullmatch("")
    print(f"keys: ok, {taken} public, {refused} private")


main()
