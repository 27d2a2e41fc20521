import time, sys
from bnstats.spec import parse
from bnstats.run import Task, run
def go(dtype, workers, n=8_000_000, spec="sigmoid"):
    best=9
    for _ in range(6):
        t=time.process_time(); run(Task(parse(spec),dtype=dtype), n, workers=workers); best=min(best,time.process_time()-t)
    return best/n*1e9
print(sys.argv[1:], " ".join(f"{d} {go(d,w):6.2f}" for d in ("float64","float32") for w in (1,2)))
