"""`pgbench` doing what a submit that brings the next lease does in the database: the same statement, nothing around it.

Each client of pgbench keeps the lease that the last answer brought, as a browser does, so that no statement is needed
to find it. The statement is that of `annotation/queue.py`; what makes up its parameters (a random key, the labels) is
done by the server here and by the web process there.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import Site
from benchmarks.measuring import Cpu

SCRIPT = r"""
\set person {first_person} + :client_id
\if :seat = 0
select coalesce(l -> 'leases' -> 0 ->> 'seat', '0') as seat,
    coalesce(l -> 'leases' -> 0 ->> 'generation', '0') as generation
  from queue_lease({project}, :person, 1::smallint, 1, '{{}}'::text[], array[random()]::float8[]) as l \gset
\else
select coalesce(a -> 'leases' -> 0 ->> 'seat', '0') as seat,
    coalesce(a -> 'leases' -> 0 ->> 'generation', '0') as generation
  from queue_answer(:seat, :generation, :person, gen_random_uuid()::text, '\x{digest}'::bytea, 'human',
    '{labels}'::jsonb, 2.5, false, '', '{{}}'::text[], '', '{{}}'::jsonb, '\x{digest}'::bytea, null,
    1, '{{}}'::text[], array[random()]::float8[]) as a \gset
\endif
"""
DIGEST = "0123456789abcdef" * 4
LABELS = '[{"q": 1, "choice": 1, "choices": null, "number": null, "data": null}]'


@dataclass(frozen=True, slots=True)
class Bare:
    """What pgbench reached: transactions, a second, and the CPU that they took."""

    transactions: int
    rate: float
    cpu: Cpu


def run_pgbench(
    site: Site,
    project: int,
    first_person: int,
    clients: int,
    *,
    seconds: float = 0,
    transactions: int = 0,
    is_durable: bool = True,
) -> Bare:
    """Run persons `first_person` and the ones with the next ids, one for each client, in a closed loop.

    It ends after `seconds`, or after `transactions` of each client.
    """
    script = Path(site.home) / "bench.sql"
    script.write_text(SCRIPT.format(first_person=first_person, project=project, labels=LABELS, digest=DIGEST))
    command = [site.get_program("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={clients}"]
    command += [f"--jobs={min(2, clients)}", "--define=seat=0", "--define=generation=0", f"--file={script}"]
    command += [f"--transactions={transactions}"] if transactions else [f"--time={max(1, round(seconds))}"]
    command += ["-h", str(site.socket_folder), "-U", "touchstone", "touchstone"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if not is_durable:
        environment["PGOPTIONS"] = "-c synchronous_commit=off"
    before = site.parts.read_cpu()
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    spent = site.parts.read_cpu() - before
    assert answer.returncode == 0, answer.stderr
    rate = re.search(r"tps = ([0-9.]+)", answer.stdout)
    count = re.search(r"actually processed: (\d+)", answer.stdout)
    assert rate, answer.stdout
    assert count, answer.stdout
    # pgbench's connections are gone by now, and with them their processes: their time is in the rest.
    return Bare(int(count[1]), float(rate[1]), spent)
