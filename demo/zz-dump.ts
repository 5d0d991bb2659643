import { Client } from 'duraloom'; import { SqliteProvider } from 'duraloom/sqlite';
const p = await SqliteProvider.open(process.argv[2]!); const c = new Client(p);
const hist = new Map<number, number>(); const ev: [number,string][]=[];
for (const i of await c.listInstances({limit:1000})) for (const e of await c.readHistory(i.instanceId)) if (e.kind==='ActivityCompleted'){ const a=(e.result as any).attempt; hist.set(a,(hist.get(a)??0)+1); ev.push([e.atMs, `${i.instanceId} ${e.sourceId} attempt ${a}`]); }
console.log(hist); ev.sort((a,b)=>a[0]-b[0]); const t0=ev[0]![0]; let last=0; const buckets=new Map<number,number>(); for(const [t] of ev){const b=Math.floor((t-t0)/250);buckets.set(b,(buckets.get(b)??0)+1);} console.log([...buckets].map(([b,n])=>`${b*0.25}:${n}`).join(' '));
await p.close();
