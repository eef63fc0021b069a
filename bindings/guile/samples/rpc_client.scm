;; SPDX-License-Identifier: Apache-2.0
;; rpc_client.scm PATH WORD...: asks rpc_server.scm, or that of another language.
(use-modules (tachyon) (rnrs bytevectors))

(define options (new-Options))
(define rpc (new-RpcBus))
(Options-timeout-set options 10) ; seconds to keep trying: the server may start later
(RpcBus-connect rpc (cadr (command-line)) options)
(for-each
 (lambda (word)
   (let ((id (RpcBus-call rpc (string->utf8 word) 1)))
     (format #t "~a -> ~a\n" word (utf8->string (RpcBus-wait-for rpc id)))))
 (cddr (command-line)))
(RpcBus-close rpc)
