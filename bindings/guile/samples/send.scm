;; SPDX-License-Identifier: Apache-2.0
;; send.scm PATH [COUNT=10]: sends messages to recv.scm, or to that of another language.
(use-modules (tachyon) (rnrs bytevectors) (ice-9 match))

(match (append (cdr (command-line)) '("10"))
  ((path count . _)
   (let ((bus (new-Bus)) (options (new-Options)))
     (Options-timeout-set options 10) ; seconds to keep trying: recv may start later
     (Bus-connect bus path options)
     (do ((i 0 (+ i 1))) ((= i (string->number count)))
       (Bus-send bus (string->utf8 (format #f "tick ~a" i)) 1))
     (Bus-close bus) ; everything sent still arrives
     (format #t "sent ~a\n" count))))
