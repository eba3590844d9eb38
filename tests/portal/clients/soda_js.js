// What a user of soda-js does: node soda_js.js HOST DATASET USERNAME PASSWORD, the library found through NODE_PATH.
// Prints one JSON object: each step's name and what soda-js handed over.
const soda = require('soda-js');
const [host, dataset, username, password] = process.argv.slice(2);
const consumer = new soda.Consumer(host);
const producer = new soda.Producer(host, {username, password});
const query = () => consumer.query().withDataset(dataset);
const operation = () => producer.operation().withDataset(dataset);
const made = {id: 'js-1', zone: 'Nörd', requests: '7', open: true};

const steps = {
  filtered: () => query().where({zone: 'Süd'}, soda.expr.gt('requests', 100)).order('id').limit(3).getRows(),
  grouped: () => query().select('zone', 'count(*)').group('zone').having('count(*) > 1').order('zone desc').getRows(),
  paged: () => query().select('id').order('id').offset(5).limit(2).getRows(),
  searched: () => query().q('Nord').limit(1000).getRows(),
  soql: () => query().soql("SELECT max(requests) AS most WHERE open = true").getRows(),
  refused: () => query().where('nothing = 1').getRows(),
  added: () => operation().add(made),
  upserted: () => operation().upsert([{...made, requests: '8'}, {id: 'js-2', zone: 'Nord'}]),
  updated: () => operation().update('js-2', {requests: '9'}),
  written: () => query().select('id', 'zone', 'requests', 'open').where("starts_with(id, 'js-')").order('id').getRows(),
  replaced: () => operation().replace('js-2', {zone: 'Süd', open: false}),
  anew: () => query().select('id', 'zone', 'requests', 'open').where("id = 'js-2'").getRows(),
  nowhere: () => operation().update('js-9', {requests: '9'}),
  removed: () => operation().delete('js-1'),
  left: () => query().select('id').where("starts_with(id, 'js-')").getRows(),
};

function heard(emitter) {
  return new Promise((resolve) => {
    emitter.on('success', (value) => resolve({success: value}));
    emitter.on('error', (value) => resolve({error: value}));
  });
}

(async () => {
  const found = {};
  for (const [name, step] of Object.entries(steps)) found[name] = await heard(step());
  console.log(JSON.stringify(found));
})();
