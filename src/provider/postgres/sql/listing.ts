// Lists of instances in SQL. Neighbours: tables.ts has the indexes, ../operators.ts makes the parameters, function.ts has the rules F1–F5.
//
// A list is read by walks: each goes along an index in the order of the list, from each of its sources (such as: the living ones of each name). Which
// walks there are depends on the filter, so their text is put together for each call and planned for it.
// S1. A call looks at about MAX_SCANNED rows. It shows nothing behind the place to which every walk has come: the next call goes on from there.
// S2. Where an index knows of MAX_SORTED rows or fewer that may be meant, but not in the order of the list, they are all read and sorted.
// S3. What is asked for beside the index of a walk stands among its columns, not in its condition: else another index would be read for it, and sorted.
import { looking } from './function.ts';

/** Rows that a call looks at. Reason: 20 ms of the server. */
const MAX_SCANNED = 5_000;
/** S2. Reason: all of them are read for each page. */
const MAX_SORTED = 2_000;
/** Rows of an attribute that are counted, so that the rarest one is gone through. */
const MAX_COUNTED = 1_000;

/** SQL: statuses that are in `instances_rare`. */
const RARE = `('Failed', 'Cancelled', 'Terminated', 'Suspended', 'Quarantined')`;

/** SQL: the attribute `v_key` with `v_value`, as `instance_attributes_found` has it. */
const hasAttribute = (key: string, value: string): string =>
  `hashtextextended(t.value, hashtextextended(t.key, 0)) = hashtextextended(${value}, hashtextextended(${key}, 0)) AND t.key = ${key} AND t.value = ${value}`;

/** SQL: the children of an instance. */
const hasParent = (id: string): string => `md5(i.parent_instance_id) = md5(${id}) AND i.parent_instance_id = ${id}`;

/** SQL: an array of the names of those instances, from one to the next; of a list of one name that one. */
function names(condition: string): string {
  const first = (from: string): string =>
    `SELECT i.name COLLATE "C" AS name FROM instances i WHERE ${condition}${from} ORDER BY i.name COLLATE "C" LIMIT 1`;
  return `CASE WHEN p_name IS NOT NULL THEN ARRAY[p_name] ELSE ARRAY(
      WITH RECURSIVE stored AS (
        (${first('')})
        UNION ALL
        SELECT n.name FROM stored s CROSS JOIN LATERAL (${first(' AND i.name COLLATE "C" > s.name')}) n
      ) SELECT s.name FROM stored s
    ) END`;
}

/**
 * SQL: a walk as a text for `format`, whose arguments are the place of a row in the list, the filter, where to go on from, and the order. The numbers of
 * parameters are those of EXECUTE.
 */
function walk(sources: string, from: string): string {
  return quote(`SELECT x.* FROM ${sources} s (source) CROSS JOIN LATERAL (
      SELECT y.*, row_number() OVER () AS n FROM (
        SELECT i.instance_id, %1$s AS at, (%2$s) IS TRUE AS ok FROM ${from}%3$s ORDER BY %4$s LIMIT $1
      ) y
    ) x WHERE x.ok OR x.n = $1`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const ONE = `(VALUES (''))`;

/** SQL: the instances with the attribute, as a text for \`format\`. */
const WITH_ATTRIBUTE = `instance_attributes t JOIN instances i ON i.instance_id = ANY (ARRAY[t.instance_id]) WHERE ${hasAttribute('$7', '$8')}`;
const LIVING = 'instances i WHERE i.ended_at IS NULL AND i.name COLLATE "C" = s.source';
const ENDED_OF_NAME = 'instances i WHERE i.ended_at IS NOT NULL AND i.name COLLATE "C" = s.source';
const RARE_ONES = `instances i WHERE i.status = s.source AND i.status IN ${RARE}`;

/** SQL: all walks. */
const WALKS = {
  living: walk('unnest($4)', LIVING),
  ended: walk('unnest($5)', ENDED_OF_NAME),
  rare: walk('unnest($6)', RARE_ONES),
  attribute: walk(ONE, WITH_ATTRIBUTE),
  children: walk('(VALUES (true), (false))', `instances i WHERE ${hasParent('$9')} AND (i.ended_at IS NULL) = s.source`),
  ids: walk(ONE, 'instances i WHERE true'),
} as const;

/** SQL: a walk through all that an index knows (S2). OFFSET 0: it is read by that index, not along another one that has the order. */
function sorted(from: string): string {
  return walk(ONE, `(SELECT i.* FROM ${from} OFFSET 0) i WHERE true`);
}

/** SQL: whether an index knows so few that they can be sorted. */
function isFew(from: string): string {
  return `(SELECT count(*) <= ${MAX_SORTED} FROM (SELECT FROM ${from} LIMIT ${MAX_SORTED + 1}) x)`;
}

/** The functions. */
export const LISTING_FUNCTIONS: readonly string[] = [
  // A row for each record, with its place in the page; then one without a record that says where to go on.
  looking(
    `list_instances(p_now bigint, p_name text, p_statuses text[], p_version text, p_parent text, p_keys text[], p_values text[],
  p_created_from bigint, p_created_before bigint, p_updated_from bigint, p_updated_before bigint, p_search text,
  p_order text, p_descending boolean, p_at bigint, p_after text, p_limit integer)`,
    'TABLE (ord bigint, next_at bigint, next_id text, record instances)',
    `
DECLARE
  -- Whether all living ones, and all ended ones, are gone through; else only those of rare statuses.
  v_lives boolean := p_statuses IS NULL OR p_statuses && ARRAY['Pending', 'Running'];
  v_ended boolean := p_statuses IS NULL OR 'Completed' = ANY (p_statuses);
  v_has_ended boolean := p_statuses IS NULL OR p_statuses && ARRAY['Completed', 'Failed', 'Cancelled', 'Terminated'];
  v_has_keys boolean := cardinality(p_keys) > 0;
  v_rare text[] := ARRAY(SELECT DISTINCT s.status FROM unnest(p_statuses) s (status)
    WHERE (s.status IN ('Suspended', 'Quarantined') AND NOT v_lives) OR (s.status IN ('Failed', 'Cancelled', 'Terminated') AND NOT v_ended));
  v_living_names text[] := '{}';
  v_ended_names text[] := '{}';
  v_key text;
  v_value text;
  v_sorted text;
  v_walks text[];
  v_sources integer := 1;
  v_beyond text := CASE WHEN p_descending THEN '<' ELSE '>' END;
  v_along text := CASE WHEN p_descending THEN ' DESC' ELSE '' END;
  v_place text := CASE p_order WHEN 'createdAt' THEN 'i.created_at' WHEN 'endedAt' THEN 'i.ended_at' ELSE '0::bigint' END;
  v_id text := 'i.instance_id';
  v_filter text := 'true';
  v_range text := '';
  v_text text;
  v_at bigint := p_at;
  v_after text := p_after;
  v_take integer;
  v_scanned integer := 0;
  v_ids text[];
  v_ats bigint[];
  v_found text[] := '{}';
  v_found_ats bigint[] := '{}';
BEGIN
  -- What an index knows (S2), or a walk along it.
  IF v_has_keys THEN
    SELECT a.key, a.value INTO v_key, v_value FROM unnest(p_keys, p_values) a (key, value)
      ORDER BY (SELECT count(*) FROM (SELECT FROM instance_attributes t WHERE ${hasAttribute('a.key', 'a.value')} LIMIT ${MAX_COUNTED}) x) LIMIT 1;
    IF p_order = 'createdAt' THEN
      v_walks := ARRAY[${WALKS.attribute}];
      v_place := 't.created_at';
      v_id := 't.instance_id';
    ELSIF ${isFew(`instance_attributes t WHERE ${hasAttribute('v_key', 'v_value')}`)} THEN
      v_sorted := ${sorted(WITH_ATTRIBUTE)};
    END IF;
  ELSIF p_parent IS NOT NULL THEN
    IF p_order = 'id' THEN
      v_walks := ARRAY[${WALKS.children}];
      v_sources := 2;
    ELSIF ${isFew(`instances i WHERE ${hasParent('p_parent')}`)} THEN
      v_sorted := ${sorted(`instances i WHERE ${hasParent('$9')}`)};
    END IF;
  ELSIF p_order <> 'createdAt' AND NOT v_lives AND NOT v_ended THEN
    IF ${isFew(`unnest(v_rare) s (source) CROSS JOIN LATERAL (SELECT FROM ${RARE_ONES}) i`)} THEN
      v_sorted := ${sorted(`unnest($6) s (source) CROSS JOIN LATERAL (SELECT * FROM ${RARE_ONES}) i`)};
    END IF;
  ELSIF p_order = 'id' AND (p_name IS NOT NULL OR NOT v_has_ended) THEN
    v_living_names := ${names('i.ended_at IS NULL')};
    v_ended_names := CASE WHEN p_name IS NOT NULL AND v_has_ended THEN ARRAY[p_name] ELSE '{}' END;
    IF ${isFew(`(
        SELECT FROM unnest(v_living_names) s (source) CROSS JOIN LATERAL (SELECT FROM ${LIVING}) x
        UNION ALL SELECT FROM unnest(v_ended_names) s (source) CROSS JOIN LATERAL (SELECT FROM ${ENDED_OF_NAME}) x) i`)} THEN
      v_sorted := ${sorted(`(
        SELECT x.* FROM unnest($4) s (source) CROSS JOIN LATERAL (SELECT * FROM ${LIVING}) x
        UNION ALL SELECT x.* FROM unnest($5) s (source) CROSS JOIN LATERAL (SELECT * FROM ${ENDED_OF_NAME}) x) i`)};
    END IF;
  END IF;
  -- Else in the order of the list.
  IF v_sorted IS NOT NULL THEN
    v_walks := ARRAY[v_sorted];
  ELSIF v_walks IS NULL AND p_order = 'id' THEN
    v_walks := ARRAY[${WALKS.ids}];
  ELSIF v_walks IS NULL THEN
    v_walks := '{}';
    IF p_order = 'createdAt' AND v_lives THEN
      v_living_names := ${names('i.ended_at IS NULL')};
      v_walks := array_append(v_walks, ${WALKS.living});
    END IF;
    IF (p_order = 'createdAt' AND v_ended) OR (p_order = 'endedAt' AND v_has_ended) THEN
      v_ended_names := ${names('i.ended_at IS NOT NULL')};
      v_walks := array_append(v_walks, ${WALKS.ended});
    END IF;
    IF p_order = 'createdAt' AND cardinality(v_rare) > 0 THEN
      v_walks := array_append(v_walks, ${WALKS.rare});
    ELSE
      v_rare := '{}';
    END IF;
    v_sources := cardinality(v_living_names) + cardinality(v_ended_names) + cardinality(v_rare);
  END IF;

  IF p_name IS NOT NULL THEN v_filter := v_filter || ' AND i.name COLLATE "C" = $10'; END IF;
  IF p_statuses IS NOT NULL THEN v_filter := v_filter || ' AND i.status = ANY ($11)'; END IF;
  IF p_version IS NOT NULL THEN v_filter := v_filter || ' AND i.version = $12'; END IF;
  IF p_parent IS NOT NULL THEN v_filter := v_filter || ' AND i.parent_instance_id = $9'; END IF;
  IF p_created_from IS NOT NULL THEN v_filter := v_filter || ' AND i.created_at >= $13'; END IF;
  IF p_created_before IS NOT NULL THEN v_filter := v_filter || ' AND i.created_at < $14'; END IF;
  IF p_updated_from IS NOT NULL THEN v_filter := v_filter || ' AND i.updated_at >= $15'; END IF;
  IF p_updated_before IS NOT NULL THEN v_filter := v_filter || ' AND i.updated_at < $16'; END IF;
  IF p_search IS NOT NULL THEN v_filter := v_filter || ' AND strpos(i.instance_id, $17) > 0'; END IF;
  -- That of a walk along it is met. Not EXISTS: all that could exist might be read once.
  IF v_has_keys THEN
    v_filter := v_filter || (SELECT coalesce(string_agg(format(' AND (
        SELECT o.value = %L FROM instance_attributes o WHERE o.instance_id = i.instance_id AND o.key = %L)', a.value, a.key), ''), '')
      FROM unnest(p_keys, p_values) a (key, value)
      WHERE v_place <> 't.created_at' OR a.key <> v_key OR a.value <> v_value);
  END IF;
  IF p_order = 'endedAt' THEN v_range := ' AND i.ended_at IS NOT NULL'; END IF;
  IF p_order = 'createdAt' THEN
    IF p_created_from IS NOT NULL THEN v_range := v_range || format(' AND %s >= $13', v_place); END IF;
    IF p_created_before IS NOT NULL THEN v_range := v_range || format(' AND %s < $14', v_place); END IF;
  END IF;

  v_take := CASE WHEN v_sorted IS NOT NULL THEN ${MAX_SORTED + 1} ELSE greatest(1, least(p_limit + 1, ${MAX_SCANNED} / greatest(v_sources, 1))) END;
  IF v_sources = 0 THEN v_after := NULL; END IF;
  WHILE v_sources > 0 LOOP
    v_text := format(array_to_string(v_walks, ' UNION ALL '), v_place, v_filter,
      v_range || CASE
        WHEN v_after IS NULL THEN ''
        WHEN p_order = 'id' THEN format(' AND i.instance_id %s $3', v_beyond)
        ELSE format(' AND (%s, %s) %s ($2, $3)', v_place, v_id, v_beyond)
      END,
      CASE WHEN p_order = 'id' THEN '' ELSE v_place || v_along || ', ' END || v_id || v_along);
    -- f: the first of the places where walks ended that may go on.
    EXECUTE format('
      WITH w AS MATERIALIZED (%1$s), f AS MATERIALIZED (
        SELECT w.at, w.instance_id FROM w WHERE w.n = $1 ORDER BY w.at%2$s, w.instance_id%2$s LIMIT 1
      )
      SELECT (SELECT f.at FROM f), (SELECT f.instance_id FROM f),
        array_agg(w.at ORDER BY w.at%2$s, w.instance_id%2$s), array_agg(w.instance_id ORDER BY w.at%2$s, w.instance_id%2$s)
      FROM w WHERE w.ok AND (NOT EXISTS (SELECT FROM f) OR (w.at, w.instance_id) %3$s= (SELECT f.at, f.instance_id FROM f))',
        v_text, v_along, CASE WHEN p_descending THEN '>' ELSE '<' END)
      INTO v_at, v_after, v_ats, v_ids
      USING v_take, v_at, v_after, v_living_names, v_ended_names, v_rare, v_key, v_value, p_parent,
        p_name, p_statuses, p_version, p_created_from, p_created_before, p_updated_from, p_updated_before, p_search;
    v_found := v_found || v_ids;
    v_found_ats := v_found_ats || v_ats;
    v_scanned := v_scanned + v_take * v_sources;
    EXIT WHEN cardinality(v_found) > p_limit OR v_after IS NULL OR v_scanned >= ${MAX_SCANNED};
    v_take := greatest(1, least(v_take * 4, (${MAX_SCANNED} - v_scanned) / v_sources + 1));
  END LOOP;
  IF cardinality(v_found) > p_limit THEN
    v_at := v_found_ats[p_limit];
    v_after := v_found[p_limit];
  END IF;
  RETURN QUERY SELECT a.ord, NULL::bigint, NULL::text, i FROM unnest(v_found[1:p_limit]) WITH ORDINALITY a (id, ord)
    JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]) ORDER BY a.ord;
  RETURN QUERY SELECT NULL::bigint, v_at, v_after, NULL::instances;
END`,
  ),
];
