ï–å–‰„ŒÑË‰á


:authority127.0.0.1:33415
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
x-request-id$e534c5fc-63f9-4489-9e09-637d93529dbeÇ–å–‰„ŒÑË‰*¹

:status200
$
serverBaseHTTP/0.6 Python/3.11.7
%
dateSat, 21 Nov 2026 04:39:53 GMT
 
content-typeapplication/json

content-length11
"
x-envoy-upstream-service-time1–å–‰„ŒÑË‰2
{"ok":true}