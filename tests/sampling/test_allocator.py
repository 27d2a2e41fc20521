"""A worker's chunks live in the memory of those before, also where dask's nanny would return it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
from cli_support import environment

SCRIPT = """
import resource
from dataclasses import replace
from bnstats.sampling import cluster_worker
from bnstats.sampling.run import numpy_layout
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse

spec, sampling = parse("sigmoid"), Sampling()
layout = numpy_layout(spec.bound, sampling, 10**9)
task = replace(cluster_worker.task_for(spec, sampling, 0.5), layout=layout)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
cluster_worker.draw(task, layout.span(0, 0, 32))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's threshold"
)
def test_a_span_faults_no_memory_in_anew() -> None:
    env = environment() | {"MALLOC_TRIM_THRESHOLD_": "65536"}  # as dask's nannies set it
    argv = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    megabytes = int(done.stdout) * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert megabytes < 64  # 3 measured; without, 1,138
