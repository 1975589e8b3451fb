"""`ttagw revoke`: a token, all tokens of a person, or a key is not accepted any more, from now on and everywhere."""

from __future__ import annotations

from typing import Any

import click

from ttagw.cli.asking import admin_key, ask, contents, refusal, with_admin


@click.command()
@click.option("--jti", help="One token, by its id.")
@click.option("--user", help="All tokens of this sub that were issued until now, by any issuer.")
@click.option("--key", metavar="NAME", help="An API key or a certificate, by its name.")
@click.option(
    "--token-file", metavar="FILE", help="The token in this file, of which only jti and exp are read; - is stdin."
)
@click.option("--expires", metavar="TIME", help="With --jti: when the token ends, such as 2027-01-31T12:00:00Z.")
@click.option("--lift", is_flag=True, help="Accept it again.")
@with_admin
def revoke(
    jti: str | None,
    user: str | None,
    key: str | None,
    token_file: str | None,
    expires: str | None,
    lift: bool,
    admin: str,
    key_file: str | None,
) -> None:
    """Revoke a token, all tokens of a person, or a key, on all gateways that share a store.

    Exit status 1 if that is not certain.
    """
    given = {"jti": jti, "user": user, "key": key, "token": token_file}
    document = {name: value for name, value in given.items() if value is not None}
    if len(document) != 1:
        raise click.UsageError("One of --jti, --user, --key and --token-file is needed, and not more than one.")
    if expires is not None and (jti is None or lift):
        raise click.UsageError("--expires goes with --jti, and not with --lift.")
    if {token_file, key_file} == {"-"}:
        raise click.UsageError("Only one of --token-file and --key-file can be stdin.")
    if token_file is not None:
        document["token"] = contents(token_file)
    if expires is not None:
        document["expires"] = expires if not expires.isdigit() else int(expires)  # type: ignore[assignment]
    status, answer = ask(admin, admin_key(key_file), "DELETE" if lift else "POST", "/revocations", document)
    if status not in (200, 201):
        raise click.ClickException(refusal(status, answer))
    click.echo(_done(answer, lift=lift))


def _done(answer: dict[str, Any], *, lift: bool) -> str:
    if lift:
        return f"Lifted: this {_WORDS.get(str(answer.get('kind')), 'one')} is accepted again."
    end = f"until {answer['end']}" if answer.get("end") else "until it is lifted"
    if answer.get("kind") == "user":
        return f"Revoked: all tokens of this user that were issued until {answer.get('before')}; kept {end}."
    return f"Revoked: this {_WORDS.get(str(answer.get('kind')), 'one')}; kept {end}."


_WORDS = {"jti": "token", "user": "user", "key": "key"}
