// Every method of npm's consul against a daemon: node methods.js PORT. Prints what is not as Consul has it, then the
// number of methods that were called.
const assert = require('assert');
const Consul = require('consul');

const port = Number(process.argv[2]);
const c = new Consul({ port });
const kept = {}; // what one row leaves for those behind it

// What `ask` says, which waits until `change` is made a little later.
const late = async (change, ask) => {
  const changed = new Promise((resolve) => setTimeout(() => resolve(change()), 200));
  const answer = await ask();
  await changed;
  return answer;
};

// What the daemon said when a call failed.
const failure = (call) => call().then(() => 'did not fail', (error) => String(error.response ? error.response.body : error));

// With the response, whose headers tell the index.
const indexOf = async (call) => {
  let index;
  await c.watch({ method: call, options: {} }).once('change', (data, res) => { index = res.headers['x-consul-index']; });
  while (!index) await new Promise((resolve) => setTimeout(resolve, 10));
  return index;
};

// method, call, judge of what it answers
const served = [
  ['agent.self', () => c.agent.self(), (own) => own.Config.NodeName === 'edge1'],
  ['agent.members', () => c.agent.members(), (all) => all.length === 1 && all[0].Name === 'edge1'],
  ['agent.service.register', () => c.agent.service.register({
    id: 'w1', name: 'web', address: '10.1.0.1', port: 80, tags: ['v1'], meta: { zone: 'a' },
    taggedAddresses: { lan: { address: '10.1.0.1', port: 80 } }, check: { ttl: '600s' } })],
  ['agent.service.register', () => c.agent.service.register('bare')],
  ['agent.services', () => c.agent.services(), (all) => Object.keys(all).sort().join() === 'bare,w1'],
  ['agent.service.list', () => c.agent.service.list(), (all) => all.w1.TaggedAddresses.lan.Port === 80],
  ['agent.check.pass', () => c.agent.check.pass({ id: 'service:w1', note: 'is well' })],
  ['agent.checks', () => c.agent.checks(), (all) => all['service:w1'].Output === 'is well'],
  ['agent.check.warn', () => c.agent.check.warn('service:w1')],
  ['health.state', () => c.health.state('warning'), (rows) => rows.length === 1 && rows[0].CheckID === 'service:w1'],
  ['agent.check.fail', () => c.agent.check.fail('service:w1')],
  ['health.service', () => c.health.service({ service: 'web', passing: true }), (rows) => rows.length === 0],
  ['agent.check.pass', () => c.agent.check.pass('service:w1')],
  ['health.service', () => c.health.service({ service: 'web', tag: 'v1', passing: true, near: '_agent' }),
    (rows) => rows[0].Service.Meta.zone === 'a' && rows[0].Node.Node === 'edge1'],
  ['health.checks', () => c.health.checks('web'), (rows) => rows[0].Status === 'passing'],
  ['health.node', () => c.health.node('edge1'), (rows) => rows[0].CheckID === 'serfHealth' && rows.length === 2],
  ['agent.check.register', () => c.agent.check.register({ id: 'c2', name: 'more', serviceid: 'bare', ttl: '600s' })],
  ['agent.check.list', () => c.agent.check.list(), (all) => all.c2.Name === 'more' && all.c2.ServiceID === 'bare'],
  ['agent.check.deregister', () => c.agent.check.deregister('c2')],
  ['agent.check.deregister', () => failure(() => c.agent.check.deregister('c2')), (text) => text.includes('Unknown check')],
  ['agent.service.maintenance', () => c.agent.service.maintenance({ id: 'w1', enable: true, reason: 'disk' })],
  ['health.service', () => c.health.service({ service: 'web', passing: true }), (rows) => rows.length === 0],
  ['agent.service.maintenance', () => c.agent.service.maintenance({ id: 'w1', enable: false })],
  ['agent.maintenance', () => c.agent.maintenance({ enable: true, reason: 'new kernel' })],
  ['health.service', () => c.health.service({ service: 'web', passing: true }), (rows) => rows.length === 0],
  ['agent.maintenance', () => c.agent.maintenance({ enable: false })],
  ['health.service', () => c.health.service({ service: 'web', passing: true }), (rows) => rows.length === 1],
  ['agent.check.register', () => c.agent.check.register({ name: 'disk', ttl: '600s', status: 'passing' })],
  ['health.node', () => c.health.node('edge1'), (rows) => rows.some((row) => row.CheckID === 'disk' && row.Status === 'passing')],
  ['agent.check.deregister', () => c.agent.check.deregister('disk')],
  ['health.service', async () => {
    const index = await indexOf((options) => c.health.service({ ...options, service: 'web' }));
    return late(() => c.agent.check.fail('service:w1'), () => c.health.service({ service: 'web', index, wait: '20s' }));
  }, (rows) => rows[0].Checks.some((check) => check.Status === 'critical')],

  ['catalog.register', () => c.catalog.register({
    node: 'edge2', address: '192.0.2.2', nodemeta: { rack: '7' },
    service: { id: 'd1', service: 'db', port: 5432, tags: ['primary'] } })],
  ['catalog.nodes', () => c.catalog.nodes(), (rows) => rows.map((row) => row.Node).join() === 'edge1,edge2'],
  ['catalog.node.list', () => c.catalog.node.list({ 'node-meta': ['rack:7'] }), (rows) => rows[0].Node === 'edge2'],
  ['catalog.node.services', () => c.catalog.node.services('edge2'), (node) => node.Services.d1.Port === 5432],
  ['catalog.services', () => c.catalog.services(), (all) => all.db[0] === 'primary' && all.consul.length === 0],
  ['catalog.service.list', () => c.catalog.service.list(), (all) => Object.keys(all).sort().join() === 'bare,consul,db,web'],
  ['catalog.service.nodes', () => c.catalog.service.nodes({ service: 'db', tag: 'primary' }),
    (rows) => rows[0].ServiceID === 'd1' && rows[0].NodeMeta.rack === '7'],
  ['catalog.datacenters', () => c.catalog.datacenters(), (all) => all.join() === 'dc1'],
  ['catalog.deregister', () => c.catalog.deregister({ node: 'edge2', serviceid: 'd1' })],
  ['catalog.deregister', () => c.catalog.deregister('edge2')],
  ['catalog.nodes', () => c.catalog.nodes(), (rows) => rows.length === 1],

  ['kv.get', () => c.kv.get('none'), (entry) => entry === undefined],
  ['kv.set', () => c.kv.set({ key: 'a/b', value: 'one', flags: 7 }), (done) => done === true],
  ['kv.get', async () => { kept.entry = await c.kv.get('a/b'); return kept.entry; },
    (entry) => entry.Value === 'one' && entry.Flags === 7],
  ['kv.set', () => c.kv.set({ key: 'a/b', value: 'two', cas: '0' }), (done) => !done],
  ['kv.set', () => c.kv.set({ key: 'a/b', value: 'two', cas: kept.entry.ModifyIndex }), (done) => done === true],
  ['kv.set', () => c.kv.set('a/c/d', ''), (done) => done === true],
  ['kv.get', () => c.kv.get({ key: 'a/', recurse: true }), (rows) => rows.length === 2 && rows[0].Value === 'two'],
  ['kv.get', () => c.kv.get({ key: 'a/b', raw: true, buffer: true }), (text) => String(text) === 'two'],
  ['kv.keys', () => c.kv.keys({ key: 'a/', separator: '/' }), (keys) => keys.join() === 'a/b,a/c/'],
  ['kv.del', () => c.kv.del({ key: 'a/b', cas: kept.entry.ModifyIndex }), (done) => !done],
  ['session.create', async () => { kept.session = (await c.session.create({ name: 'mine', ttl: '20s', lockdelay: '0s' })).ID; return kept.session; },
    (id) => id.length === 36],
  ['session.create', async () => { kept.other = (await c.session.create({ behavior: 'delete' })).ID; return kept.other; },
    (id) => id.length === 36],
  ['kv.set', () => c.kv.set({ key: 'lock', value: 'x', acquire: kept.session }), (done) => done === true],
  ['kv.set', () => c.kv.set({ key: 'lock', value: 'x', acquire: kept.other }), (done) => !done],
  ['kv.get', () => c.kv.get('lock'), (entry) => entry.Session === kept.session && entry.LockIndex === 1],
  ['session.renew', () => c.session.renew(kept.session), (rows) => rows[0].ID === kept.session],
  ['session.info', () => c.session.info(kept.session), (session) => (session.Name || session[0].Name) === 'mine'],
  ['session.get', () => c.session.get(kept.session), (session) => (session.Name || session[0].Name) === 'mine'],
  ['session.list', () => c.session.list(), (rows) => rows.length === 2],
  ['session.node', () => c.session.node('edge1'), (rows) => rows.length === 2],
  ['kv.set', () => c.kv.set({ key: 'lock', value: 'x', release: kept.session }), (done) => done === true],
  ['session.destroy', () => c.session.destroy(kept.session)],
  ['session.renew', () => failure(() => c.session.renew(kept.session)), (text) => text.includes('not found')],
  ['transaction.create', () => c.transaction.create([{ KV: { Verb: 'set', Key: 'a/t', Value: Buffer.from('t').toString('base64') } },
    { KV: { Verb: 'get', Key: 'a/t' } }]), (done) => done.Results.length === 2 && done.Errors === null],
  ['transaction.create', () => c.transaction.create([{ KV: { Verb: 'check-not-exists', Key: 'a/t' } }]).then(
    () => 'did not fail', (error) => error.response.body.Errors[0].What), (text) => text === 'key "a/t" exists'],
  ['kv.del', () => c.kv.del({ key: 'a', recurse: true }), (done) => done === true],
  ['kv.delete', () => c.kv.delete('lock'), (done) => done === true],
  ['kv.get', () => c.kv.get('a/c/d'), (entry) => entry === undefined],

  ['event.fire', async () => { kept.event = await c.event.fire({ name: 'deploy', payload: 'v2', service: 'we', tag: 'v' }); return kept.event; },
    (event) => event.Payload === 'v2' && event.ServiceFilter === 'we'],
  ['event.fire', () => c.event.fire('deploy', Buffer.from([0, 255])), (event) => event.Payload.equals(Buffer.from([0, 255]))],
  ['event.fire', () => c.event.fire({ name: 'deploy', node: 'elsewhere' }), (event) => event.NodeFilter === 'elsewhere'],
  ['event.list', () => c.event.list('deploy'), (rows) => rows.length === 2 && rows[0].ID === kept.event.ID && rows[0].Payload === 'v2'],
  ['event.list', async () => {
    const index = await indexOf((options) => c.event.list(options));
    return late(() => c.event.fire('now'), () => c.event.list({ index, wait: '20s' }));
  }, (rows) => rows[rows.length - 1].Name === 'now'],

  ['agent.service.deregister', () => c.agent.service.deregister('w1')],
  ['agent.service.deregister', () => failure(() => c.agent.service.deregister('w1')), (text) => text.includes('Unknown service')],
  ['status.leader', () => c.status.leader(), (leader) => leader === '127.0.0.1:8300'],
  ['status.peers', () => c.status.peers(), (peers) => peers.join() === '127.0.0.1:8300'],
];

// groups and methods that have no counterpart: each is refused by name
const refused = ['acl', 'query', 'catalog.connect', 'agent.join', 'agent.forceLeave', 'agent.reload'];

// The names of all methods of the client, "group.method".
const methodsOf = (thing, prefix = '') => {
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(thing));
  const names = own.filter((name) => prefix && name !== 'constructor' && !name.startsWith('_'))
    .filter((name) => typeof thing[name] === 'function').map((name) => prefix + name);
  for (const name of Object.keys(thing)) {
    const group = thing[name];
    const known = group && group.constructor && group.consul === c && name !== 'consul';
    if (known) names.push(...methodsOf(group, `${prefix}${name}.`));
  }
  return [...new Set(names)];
};

const anything = { id: 'x', name: 'x', service: 'x', node: 'x', address: 'x', token: 'x', query: 'x' };
const special = { query: { query: 'x', service: { service: 'x' } } };

const main = async () => {
  const all = methodsOf(c);
  const isRefused = (name) => refused.some((group) => name === group || name.startsWith(`${group}.`));
  const rows = [...served];
  for (const name of all.filter(isRefused)) {
    const parts = name.split('.');
    const method = parts.pop();
    const group = parts.reduce((thing, part) => thing[part], c);
    const args = [special[parts[0]] || anything];
    rows.push([name, () => failure(() => group[method](...args)), (text) => text.includes('not served by Sluice')]);
  }
  for (const [name, call, judge] of rows) {
    try {
      const answer = await call();
      if (judge && !judge(answer)) console.log(`${name}: ${JSON.stringify(answer)}`);
    } catch (error) { // whatever the client raises is what its user would see
      console.log(`${name}: ${error}`);
    }
  }
  const called = new Set(rows.map((row) => row[0]));
  for (const name of all) if (!called.has(name)) console.log(`${name}: was not called`);
  assert(all.length > 40);
  console.log(`${called.size} methods`);
  process.exit(0);
};

main();
