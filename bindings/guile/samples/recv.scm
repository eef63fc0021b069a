;; SPDX-License-Identifier: Apache-2.0
;; recv.scm PATH: prints the messages of send.scm, or of that of another language.
(use-modules (tachyon) (rnrs bytevectors))

(define bus (new-Bus))
(define received 0)
(Bus-listen bus (cadr (command-line)) 65536)
(catch 'tachyon-error
  (lambda ()
    (while #t
      (let ((data (Bus-recv bus)))
        (set! received (+ received 1))
        (format #t "type ~a: ~a\n" (Bus-type-id-get bus) (utf8->string data)))))
  (lambda (key who text arguments data)
    (unless (= (car data) (ERR-CLOSED)) ; the end of the stream
      (throw key who text arguments data))))
(format #t "received ~a\n" received)
