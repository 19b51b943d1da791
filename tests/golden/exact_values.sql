-- One expression a line: tests/test_display.py compares how it is shown with cast(x as varchar).
true
127::tinyint
18446744073709551615::ubigint
9223372036854775808::hugeint
340282366920938463463374607431768211455::uhugeint
0.1::double
1e15::double
1e16::double
123456789012345678::double
5e-324::double
1e22::double
'-inf'::double
'nan'::double
-('nan'::double)
-0.0::double
0.00001::double
100000.0::double
0.1::float
16777216::float
1e8::float
3.4028235e38::float
1e-45::float
123456.7::float
0.3::float
1e-7::decimal(38,20)
0.5::decimal(2,2)
-0.5::decimal(2,2)
123::decimal(3,0)
0::decimal(3,2)
date '2020-02-29'
date '0044-03-15 (BC)'
date 'infinity'
date '-infinity'
date '9999-12-31'
date '294247-01-01'
timestamp '2020-01-01'
timestamp '2020-01-01 00:00:00.000001'
timestamp 'infinity'
timestamp '99999-01-01 00:00:00'
timestamp_s '2020-01-01 00:00:01'
timestamp_ms '2020-01-01 00:00:00.1'
timestamp_ns '2020-01-01 00:00:00.123456789'
timestamptz '2020-07-01 00:00:00+00'
timestamptz '1800-01-01 00:00:00+00'
timestamptz '10000-01-01 00:00:00+00'
time '00:00:00'
time '24:00:00'
time '23:59:59.999999'
timetz '01:02:03.5-02:30'
timetz '01:02:03+00'
interval '1 month'
interval '14 months -5 days -3 hours'
interval '100 hours 1 microsecond'
interval '0 days'
interval '-1 microsecond'
'\x00\x27\x22\x5c\x7f\x80 a'::blob
''::blob
'0101'::bit
123::bignum
uuid '8d3f1c2e-5b7a-4c1d-9e0f-123456789abc'
''
'null'
e'a\tb\nc'
'{"a": [1, 2]}'::json
'x'::enum('x', 'y(,)')
[]::int[]
[1, null]
[[1], null, []]
[1, 2]::int[2]
[[1]::int[1]]
['a, b', 'it''s', '', ' x', 'x ', 'null', 'NULL ', 'a\b', 'a\b,c', '[z]', 'k:v', 'k=v', '(p)', '{p}', 'q"']
{'a': 1, 'b': 'x, y', 'c': null}
{'a b': 1, 'it''s': 2, 'back\slash': 3}
row(1, 'a, b', null)
row(1)
map {'a b': 'c=d', 'NULL': 'null', '': null}
map {[1, 2]: 'x'}
map {{'a': 1}: [1]}
map {}
{'key': [1], 'value': [2]}
map {'key': [1], 'value': [2]}
union_value(n := 'a, b')
[union_value(n := 2)]
['{"a": 1}'::json]
{'a': '{"a": 1}'::json}
['\x27,'::blob]
[interval '1 month 1 day 01:00:00']
{'t': timestamptz '2020-01-01 00:00:00+00', 'i': interval 1 year}
[0.1::float, 1e16::float]
[.5::decimal(2,2)]
[time '01:02:03', null]
[date 'infinity']
{'a': {'b': [{'c': null}]}}
[uuid '8d3f1c2e-5b7a-4c1d-9e0f-123456789abc']
{'a': [1, 2], 'b': 'x, y', 'c': interval 1 month}::variant
'plain, text'::variant
1::variant
null
(-170141183460469231731687303715884105728)::hugeint
