// SPDX-License-Identifier: Apache-2.0
'use strict';
// Errors, and the checks of arguments.

const { native, ErrorCode } = require('./native.js');

class TachyonError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }

  get name() { return this.constructor.name; }
}
class PeerDeadError extends TachyonError {}
class AbiMismatchError extends TachyonError {}

const kinds = {
  [ErrorCode.PeerDead]: PeerDeadError,
  [ErrorCode.AbiMismatch]: AbiMismatchError,
};
const failure = (code, text = native.strerror(code)) =>
  new (kinds[code] ?? TachyonError)(text, code);
const aborted = (signal) => Object.assign(
  new Error('The operation was aborted', { cause: signal.reason }),
  { name: 'AbortError', code: 'ABORT_ERR' });

const isTachyonError = (error) => error instanceof TachyonError;
const isFull = (error) => isTachyonError(error) && error.code === ErrorCode.Full;
const isPeerDead = (error) => error instanceof PeerDeadError;
const isAbiMismatch = (error) => error instanceof AbiMismatchError;

function typed(value, type, name) {
  if (typeof value === type) return value;
  throw new TypeError(`${name} must be a ${type}, not ${typeof value}`);
}

/** What C can take: it would see the end of it at a NUL. */
function text(value, name) {
  if (!typed(value, 'string', name).includes('\0')) return value;
  throw new RangeError(`${name} has a NUL in it`);
}

function uint(value, name, most = 0xffffffff) {
  if (!Number.isInteger(typed(value, 'number', name)) || value < 0 || value > most) {
    throw new RangeError(`${name} must be an integer from 0 to ${most}, not ${value}`);
  }
  return value;
}

/** Milliseconds as the core's seconds, of which -1 is for ever. */
function seconds(timeout, otherwise, name = 'timeout') {
  if (timeout === undefined) return otherwise;
  if (!(typed(timeout, 'number', name) >= 0)) {
    throw new RangeError(`${name} must be 0 or more milliseconds, not ${timeout}`);
  }
  return timeout === Infinity ? -1 : timeout / 1000;
}

module.exports = {
  TachyonError, PeerDeadError, AbiMismatchError, isTachyonError, isFull, isPeerDead,
  isAbiMismatch, failure, aborted, typed, text, uint, seconds,
};
