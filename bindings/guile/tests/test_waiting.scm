;; SPDX-License-Identifier: Apache-2.0
;; While a call waits, other threads run and collect, and handlers of signals run: one that
;; throws ends it, one that does not lets it go on.
(use-modules (tachyon) (rnrs bytevectors) (ice-9 threads))

(define (check right . what) (unless right (error "wrong" what)))
(define path (format #f "@tachyon-guile-waiting-~a" (getpid)))
(define a (new-Bus))
(define b (new-Bus))
(define options (new-Options))
(define x #vu8(120))
(define opening (call-with-new-thread (lambda () (Bus-listen a path 4096))))
(Options-timeout-set options 10)
(Bus-connect b path options)
(join-thread opening)
(Bus-send a x)
(check (equal? (Bus-recv b) x) "x")

(define (caught thunk) ; the key, and the code where there is one
  (catch #t
    (lambda () (thunk) '())
    (lambda (key . rest)
      (cons key (if (eq? key 'tachyon-error) (list (car (list-ref rest 3))) '())))))
(define (beside commands) (system (format #f "(pid=~a; ~a) &" (getpid) commands)))
(define (signal-asleep) ; as soon as this process, back from the shell, sleeps
  (beside "while [ -d /proc/$$ ]; do sleep 0.05; done
    until grep -q ^State:.S /proc/$pid/status; do sleep 0.05; done; kill -USR1 $pid"))
(define late (list 'tachyon-error (ERR-TIMEOUT)))

(define ticking
  (call-with-new-thread
   (lambda () (do ((i 0 (+ i 1))) ((= i 10)) (usleep 10000) (gc)) (Bus-send a x))))
(check (equal? (Bus-recv b 60.0) x) "the other does not run")
(join-thread ticking)

(sigaction SIGUSR1 (lambda (number) (throw 'from-a-handler)))
(signal-asleep)
(check (equal? (caught (lambda () (Bus-recv b 60))) '(from-a-handler)) "not ended")
(check (equal? (caught (lambda () (Bus-recv b 0.05))) late) "ended twice")
(signal-asleep)
(check (equal? (caught (lambda () (Bus-listen (new-Bus) (string-append path "-") 4096)))
               '(from-a-handler)) "listening")
(signal-asleep)
(check (equal? (caught (lambda () (Bus-send-batch a (make-bytevector 10000) 1000)))
               '(from-a-handler)) "sending")
(check (> (Bus-count-get a) 0) "none sent")
(check (= (bytevector-length (Bus-recv-batch b 1000)) (* 1000 (Bus-count-get a))) "count")

;; They go on for ever: a wait that began anew at each would never end.
(define seen 0)
(sigaction SIGUSR1 (lambda (number) (set! seen (+ seen 1))))
(beside "while kill -USR1 $pid; do sleep 0.05; done 2> /dev/null")
(while (< seen 2)
  (let ((start (get-internal-real-time)))
    (check (equal? (caught (lambda () (Bus-recv b 0.6))) late) "time-out")
    (define taken (/ (- (get-internal-real-time) start) internal-time-units-per-second))
    (check (>= taken 0.6) seen "signals in" taken)))
(define sending-late (call-with-new-thread (lambda () (usleep 400000) (Bus-send a x))))
(check (equal? (Bus-recv b 10.0) x) "late")
(join-thread sending-late) ; it may still be in send, and the next send be told BUSY
;; Where they are blocked they wait as well, and the wait uses no time.
(call-with-blocked-asyncs
 (lambda ()
   (define start (get-internal-run-time))
   (check (equal? (caught (lambda () (Bus-recv b 0.6))) late) "time-out")
   (define used (/ (- (get-internal-run-time) start) internal-time-units-per-second))
   (check (< used 0.3) used "s of 0.6")))
(sigaction SIGUSR1 SIG_IGN)

;; What another thread's call fails with is that thread's: here no peer 7, and BUSY.
(define go #t)
(define at-it
  (map (lambda (call)
         (call-with-new-thread (lambda () (while go (caught call)))))
       (list (lambda () (Bus-drop-peer b 7)) (lambda () (Bus-flush b)))))
(do ((i 0 (+ i 1))) ((= i 5000))
  (Bus-send a x 0 10.0)
  (let receive ()
    (define got (caught (lambda () (Bus-recv b 10.0))))
    (cond ((null? got) #t)
          ((equal? got (list 'tachyon-error (ERR-BUSY))) (receive))
          (else (error "of another" got)))))
(define waits (map (lambda (again) (caught (lambda () (Bus-recv b 0.2)))) (iota 10)))
(check (member late waits) waits "none is left alone")
(set! go #f)
(for-each join-thread at-it)

;; Without a signal a sleep ends with the message: 50 of them, each 1 ms after the last.
(define received 0)
(define (send-slowly)
  (do ((i 1 (+ i 1))) ((> i 50))
    (usleep 1000)
    (Bus-send a x)
    (while (< received i) (usleep 100))))
(define (seconds-for-50)
  (define start (get-internal-real-time))
  (define sending (begin (set! received 0) (call-with-new-thread send-slowly)))
  (do ((i 1 (+ i 1))) ((> i 50))
    (Bus-recv b 10.0)
    (set! received i))
  (join-thread sending)
  (/ (- (get-internal-real-time) start) internal-time-units-per-second))
(check (or-map (lambda (again) (< (seconds-for-50) 0.4)) (iota 20)) "each sleep is late")

(call-with-new-thread (lambda () (usleep 200000) (Bus-close b)))
(check (equal? (caught (lambda () (Bus-recv b))) (list 'tachyon-error (ERR-CLOSED))) "closed")
;; Also of what is being opened, whose address is free then.
(define half-open (new-Bus))
(call-with-new-thread (lambda () (usleep 200000) (Bus-close half-open)))
(define address (string-append path "-half"))
(check (equal? (caught (lambda () (Bus-listen half-open address 4096)))
               (list 'tachyon-error (ERR-CLOSED))) "closed while it opens")
(Bus-listen-start (new-Bus) address 4096)
