import time, numpy as np
import bnstats.sampling as S, bnstats.run as R, bnstats.moments as M
from bnstats.spec import parse
from bnstats.sampling import Task, Chunk
from bnstats.backends import numpy_backend as xp
sp=parse("sigmoid"); 
def best(f,rep=20,k=9):
    f(); b=9
    for _ in range(k):
        t=time.perf_counter()
        for _ in range(rep): f()
        b=min(b,(time.perf_counter()-t)/rep)
    return b
for dt in ("float64","float32"):
    B=S.block_draws(sp.event); task=Task(sp,dtype=dt)
    t1=best(lambda: R.chunk_tally(task,Chunk(0,0,B*16,True),.5),3)
    print(dt,"chunk per draw", t1/B/16*1e9)
    g=S.stream(0,"a",0); nrm=S.Normals(2*B,dt)
    print("  normals/draw", best(lambda:nrm.draw(g,2*B))/B*1e9)
    z=nrm.draw(g,2*B).copy(); x=z[:B]; dy=z[B:]
    print("  forward", best(lambda:sp.event.forward(xp,{"x":x}))/B*1e9)
    y,bw=sp.event.forward(xp,{"x":x}); print("  backward", best(lambda:bw(dy))/B*1e9)
    dx=bw(dy)
    print("  of y", best(lambda:M.of(xp,y,.5))/B*1e9, "of dx", best(lambda:M.of(xp,dx,0.0))/B*1e9)
    a=M.of(xp,y,.5); print("  merge us", best(lambda:M.merge(a,a))*1e6)
    t0=best(lambda: R.chunk_tally(task,Chunk(0,0,2,True),.5),3); print("  tiny chunk us", t0*1e6)
    print("  stream us", best(lambda:S.stream(0,"a",0))*1e6)
    for L in (14,15,16,17):
        S._BLOCK_NUMBERS=2**L; S._BLOCKS_PER_CHUNK=2**19//2**L
        B=2**L//2
        print("   block",L, best(lambda: R.chunk_tally(task,Chunk(0,0,2**18,True),.5),2)/2**18*1e9)
    S._BLOCK_NUMBERS=2**15; S._BLOCKS_PER_CHUNK=16
