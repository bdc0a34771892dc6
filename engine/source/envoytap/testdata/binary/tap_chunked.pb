
¶
Η


:authority127.0.0.1:57243
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
x-request-id$84a0aa33-80b7-4c7a-97eb-2d5cd727b53d
'
x-envoy-expected-rq-timeout-ms15000

{"x":"Γ©"}"—Α„Ψ©‚‡Α
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
x-envoy-upstream-service-time0
{"ok":true}"—Α„Ψθη¶‡&

	127.0.0.1›Ώ
	127.0.0.1φ