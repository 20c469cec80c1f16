// Audit events as a service would send them, and the INSERT statements of the reference design.
import { randomUUID, randomInt } from 'node:crypto';

const ACTIONS = ['milestone.submitted', 'milestone.approved', 'milestone.rejected', 'evidence.uploaded',
  'disbursement.requested', 'user.login', 'report.exported', 'settings.changed'];
const STATUS = ['pending', 'submitted', 'under_review', 'approved', 'rejected', 'finalized'];
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0';
const pick = (all) => all[(Math.random() * all.length) | 0];
const hex = (number, width) => number.toString(16).padStart(width, '0');

function uuidv7() {
  const time = hex(Date.now(), 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

export function makeEvent() {
  const from = pick(STATUS), to = pick(STATUS), chance = Math.random();
  return {
    id: uuidv7(), occurred_at: new Date().toISOString(), severity: chance < 0.02 ? 2 : chance < 0.1 ? 1 : 0,
    action: pick(ACTIONS), actor_id: `usr_${String(randomInt(20000)).padStart(6, '0')}`,
    project_id: `00000000-0000-4000-8000-${hex(randomInt(5000), 12)}`,
    resource_type: 'milestone', resource_id: `mil_${hex(randomInt(200000), 8)}`,
    previous_status: from, new_status: to,
    changes: {
      status: { from, to },
      amount: { from: `${randomInt(100000)}.00`, to: `${randomInt(100000)}.00` },
    },
    metadata: {
      note: 'inspection foundation verified second tranche', source: 'api', region: 'eu-west',
      requestId: hex(randomInt(2 ** 47), 16),
    },
    ip: `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`, user_agent: AGENT,
  };
}

const COLUMNS = ['id', 'occurred_at', 'severity', 'action', 'actor_id', 'project_id', 'resource_type',
  'resource_id', 'previous_status', 'new_status', 'changes', 'metadata', 'ip', 'user_agent'];
const INTO = `INSERT INTO a_full (${COLUMNS})`;
const values = (event) => COLUMNS.map((column) => event[column]);

const ONE = `${INTO} VALUES (${COLUMNS.map((_, index) => `$${index + 1}`)})`;
export const insertOne = (event) => ({ text: ONE, values: values(event) });

// Several rows in one statement, as it is usually written by hand.
export function insertMany(events) {
  const params = [];
  const rows = events.map((event) => `(${values(event).map((value) => `$${params.push(value)}`)})`);
  return { text: `${INTO} VALUES ${rows.join(',')}`, values: params };
}

// One line of JSON: events, microseconds, and latencies in microseconds.
export function report(events, milliseconds, latencies) {
  const sorted = latencies.sort((one, other) => one - other);
  const at = (share) => Math.round(1000 * sorted[Math.min(sorted.length - 1, (sorted.length * share) | 0)]);
  console.log(JSON.stringify({ events, micros: Math.round(1000 * milliseconds), p50: at(0.5), p99: at(0.99) }));
}

// The arguments, --name=number each.
export const args = Object.fromEntries(process.argv.slice(2).map((arg) => {
  const [name, number] = arg.replace(/^--/, '').split('=');
  return [name, Number(number)];
}));
