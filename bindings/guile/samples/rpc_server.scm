;; SPDX-License-Identifier: Apache-2.0
;; rpc_server.scm PATH: answers each request with its text in upper case.
(use-modules (tachyon) (rnrs bytevectors))

(define rpc (new-RpcBus))
(define served 0)
(RpcBus-listen rpc (cadr (command-line)) 65536 65536) ; for requests, for replies
(catch 'tachyon-error
  (lambda ()
    (while #t
      (let* ((request (utf8->string (RpcBus-serve rpc)))
             (reply (string->utf8 (string-upcase request))))
        (RpcBus-reply rpc (RpcBus-id-get rpc) reply (RpcBus-type-id-get rpc))
        (set! served (+ served 1)))))
  (lambda (key who text arguments data)
    (unless (= (car data) (ERR-CLOSED)) ; the client has finished
      (throw key who text arguments data))))
(format #t "served ~a\n" served)
