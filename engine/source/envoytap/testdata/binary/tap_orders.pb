
á
ò


:authority127.0.0.1:57243

:path/orders?id=7

:methodGET

:schemehttp


user-agentcurl/7.88.1

accept*/*

cookiea=b

x-forwarded-protohttp
4
x-request-id$2b6faedf-169f-4fec-ab8e-45101597a4c5
'
x-envoy-expected-rq-timeout-ms15000"ó¡Ñÿêÿ„ ¡

:status200

serverenvoy
%
dateSat, 21 Nov 2026 04:39:51 GMT
 
content-typeapplication/json

content-length11
"
x-envoy-upstream-service-time1
{"ok":true}"ó¡Ñÿ»≥ÙÀ&

	127.0.0.1õø
	127.0.0.1‘ü