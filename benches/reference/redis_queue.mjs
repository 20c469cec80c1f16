// A Redis list as the queue: producers LPUSH, a worker in a process of its own BRPOPs one by one and
// inserts batches. The time is from the first push to the commit of the last row, latencies are from
// an event's making to the commit of its row. Nothing here survives a crash: the list is in memory,
// and what the worker has popped and not yet inserted is nowhere.
// --port=N --events=20000 --batch=1000 --producers=10
import { fork } from 'node:child_process';
import pg from 'pg';
import { createClient } from 'redis';
import { args, makeEvent, insertMany, report } from './events.mjs';

const { events, batch, producers, port } = args;
const key = 'audit:queue';
const redis = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
if (process.send) await work(); else await push();
await redis.close();

async function work() {
  process.on('disconnect', () => process.exit());
  const pool = new pg.Pool({ max: 1 });
  await pool.query('SELECT 1');
  process.send('ready');
  const latencies = [];
  let waiting = [], done = 0;
  while (done < events) {
    const popped = await redis.brPop(key, 1);
    if (popped) waiting.push(JSON.parse(popped.element));
    const full = waiting.length >= batch || done + waiting.length >= events;
    if (full || (waiting.length && !popped)) {
      await pool.query(insertMany(waiting));
      const now = Date.now();
      for (const event of waiting) latencies.push(now - Date.parse(event.occurred_at));
      done += waiting.length;
      waiting = [];
    }
  }
  await new Promise((sent) => process.send(latencies, sent));
  await pool.end();
  process.disconnect();
}

async function push() {
  const worker = fork(new URL(import.meta.url), process.argv.slice(2), { serialization: 'advanced' });
  const message = () => new Promise((heard, fail) => {
    worker.once('message', heard);
    // The end of the channel, not of the process: what was sent before has arrived by then.
    worker.once('disconnect', () => fail(new Error('the worker ended')));
  });
  await message();
  await redis.del(key);
  const begun = performance.now(), done = message();
  let left = events;
  await Promise.all(Array.from({ length: producers }, async () => {
    while (left-- > 0) await redis.lPush(key, JSON.stringify(makeEvent()));
  }));
  const latencies = await done;
  report(events, performance.now() - begun, latencies);
}
