// An empty PostgreSQL database for each measurement. Neighbour: ../postgres.ts has the server.
import pg from 'pg';

/** SQLSTATE. */
const INSUFFICIENT_PRIVILEGE = '42501';

let lastNumber = 0;

/**
 * @param {string} serverUrl - of a database of a role that may create others
 * @returns {Promise<{ url: string, drop: () => Promise<void> }>} the new one
 */
export async function createDatabase(serverUrl) {
  lastNumber += 1;
  const name = `duraloom_bench_${process.pid}_${lastNumber}`;
  const drop = () => query(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await drop();
  await query(serverUrl, `CREATE DATABASE ${name}`);
  await checkpoint(serverUrl);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => {
      await drop();
    },
  };
}

/**
 * @param {string} serverUrl - of the server
 * @returns {Promise<string>} its version
 */
export async function readVersion(serverUrl) {
  const { rows } = await query(serverUrl, 'SHOW server_version');
  return String(rows[0].server_version);
}

/** What making the database has written is not charged to the measurement. */
async function checkpoint(serverUrl) {
  try {
    await query(serverUrl, 'CHECKPOINT');
  } catch (error) {
    // Not every role may ask for it.
    if (error.code !== INSUFFICIENT_PRIVILEGE) throw error;
  }
}

async function query(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}
