// Keep-alive load on POST /events. --port=N --events=10000 --clients=32
import http from 'node:http';
import { args, makeEvent, report } from './events.mjs';

const { events, clients, port } = args;
const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
const post = (body) => new Promise((done, fail) => {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const request = http.request({ host: '127.0.0.1', port, path: '/events', method: 'POST', agent, headers }, (answer) => {
    answer.resume();
    answer.on('end', () => (answer.statusCode === 201 ? done() : fail(new Error(`status ${answer.statusCode}`))));
  });
  request.on('error', fail);
  request.end(body);
});

const latencies = [];
let left = events;
async function client() {
  while (left-- > 0) {
    const body = JSON.stringify(makeEvent()), sent = performance.now();
    await post(body);
    latencies.push(performance.now() - sent);
  }
}
const begun = performance.now();
await Promise.all(Array.from({ length: clients }, client));
report(events, performance.now() - begun, latencies);
agent.destroy();
