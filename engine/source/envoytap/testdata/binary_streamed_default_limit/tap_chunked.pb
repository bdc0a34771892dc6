êÎ…§Ã—ıÒ¡ßÇ


:authority127.0.0.1:33415

:path/chunked

:methodPOST

:schemehttp


user-agentcurl/7.88.1

accept*/*
1
content-type!application/x-www-form-urlencoded

x-forwarded-protohttp
4
x-request-id$e1423406-7616-4d47-882c-8d6f0b7825bbÎ…§Ã—ıÒ¡ß

{"x":"√©"}«Î…§Ã—ıÒ¡ß*π
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
x-envoy-upstream-service-time0Î…§Ã—ıÒ¡ß2
{"ok":true}