// SPDX-License-Identifier: Apache-2.0
/// <reference types="node" />

/** What a call that may wait takes. */
export interface WaitOptions {
  /**
   * Longest wait in milliseconds; 0 does not wait, Infinity is for ever. Left out:
   * sends do not wait (and throw what isFull() knows), receives wait for ever.
   */
  timeout?: number;
}

/** What a call that gives a promise takes; without a timeout it waits for ever. */
export interface AsyncOptions extends WaitOptions {
  /** Ends the wait with an AbortError; nothing is taken or sent then. */
  signal?: AbortSignal;
}

export interface OpenOptions {
  /**
   * Milliseconds. Left out, listen waits for ever and connect tries once; with one,
   * connect keeps trying.
   */
  timeout?: number;
  /** Permission bits of the socket; 0o600. */
  mode?: number;
  /** Role.Producer or Role.Consumer; both ends alike is refused. */
  role?: number;
  /** Fingerprint of the message types; two that are not 0 and differ are refused. */
  schema?: bigint;
  /**
   * The message types, as the generated files describe them; it sets the schema. Of two
   * ends that differ each one's error says in what.
   */
  types?: string;
  /** Refuse a peer that does not say its types. */
  typesRequired?: boolean;
  /** User ids that may connect, instead of our own; 4294967295: anyone. */
  allowedUids?: Iterable<number>;
  /**
   * Listening, a bus with a role: so many peers at a time, one after the other with 1.
   * It opens at once and goes on listening. 0: a single peer, ever.
   */
  maxPeers?: number;
  /** Listening as producer of many: SlowPeer.Wait, or Disconnect after slowAfter. */
  slowPeer?: number;
  /** Milliseconds, with SlowPeer.Disconnect; such a peer gets ErrorCode.Lagged. */
  slowAfter?: number;
  /** Listening as the producer of many: WithoutPeers.Wait or FreeRun. */
  withoutPeers?: number;
  /** Likewise: milliseconds that the place of a named consumer that died is kept. */
  keepPlace?: number;
  /** Connecting to a producer of many: Start.Now, Oldest, or where another stood. */
  start?: number | Position;
  /** Connecting: how the listener with many peers knows it; at most 31 bytes. */
  name?: string;
}

export interface OpenAsyncOptions extends OpenOptions {
  signal?: AbortSignal;
}

/** A message, copied: `data` is the receiver's own. */
export interface Message {
  data: Buffer;
  typeId: number;
}

/** A request or a reply, copied. */
export interface RpcMessage extends Message {
  correlationId: bigint;
}

export interface Stats {
  capacity: number;
  used: number;
  messages: number;
  ringBytes: number;
  flushes: number;
  full: number;
  sleeps: number;
  wakes: number;
}

export interface RpcStats {
  calls: number;
  replies: number;
  dropped: number;
  kept: number;
  outstanding: number;
}

export interface Peer {
  /** 0 when it lives in a pid namespace that we cannot see. */
  pid: number;
  uid: number;
  gid: number;
}

/** Where one end of a broadcast stands, of use as long as that listener lives. */
export interface Position {
  position: bigint;
  epoch: bigint;
}

/** A peer of a listener with many has come or gone. */
export interface PeerEvent {
  /** EventKind.Joined or Left; Missed counts, in `peer`, events that were not kept. */
  kind: number;
  /** Its number, which grows and is not used again. */
  peer: number;
  /** Why it has left, one of ErrorCode: Closed by either end, PeerDead, Lagged; else 0. */
  reason: number;
  /** As it has connected, '' for none. */
  name: string;
  who: Peer;
}

/** A peer that is connected. */
export interface PeerInfo {
  peer: number;
  name: string;
  who: Peer;
  /** Received from it. */
  messages: number;
  /** Of a consumer of many: bytes that it has still to read. */
  behind: number;
  sleeps: number;
  wakes: number;
}

declare abstract class Both {
  /** One of State. */
  readonly state: number;
  /** Largest payload of one message that this end can send. */
  readonly maxPayload: number;
  /** Has close() or abort() been called here? */
  readonly closed: boolean;
  /** Who is at the other end. */
  peer(): Peer;
  /**
   * Of a listener with many peers: let them in and out until one has come or gone. All
   * that waits, and a receive that finds nothing, lets them in too; events are kept until
   * they are asked for, 1,024 of them. It blocks the event loop, as recv() does.
   */
  accept(options?: WaitOptions): PeerEvent;
  /** The same with a promise. */
  acceptAsync(options?: AsyncOptions): Promise<PeerEvent>;
  /** Events until this end is closed; timeout is of each. */
  events(options?: AsyncOptions): AsyncGenerator<PeerEvent, void, void>;
  /** Who is connected, of many. */
  peers(): PeerInfo[];
  /** Disconnect one of many: it reads what there is. The event Left follows. */
  dropPeer(peer: number): void;
  /**
   * Number of the peer whose message was received last, so to be looked at before the
   * next is; 0: none, or a single peer.
   */
  readonly sender: number;
  /** 1: this end never sleeps while it waits. 0, the default: it spins, then sleeps. */
  setPollingMode(mode: 0 | 1): void;
  /** End the stream, and with an error all that is awaited here. Twice does no harm. */
  close(): void;
  /** The same for an end that has failed: the peer gets ErrorCode.Aborted. */
  abort(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * One end of a bus: one side sends, the other receives. What blocks (recv, acquireRx,
 * drainBatch, and all that is given a timeout) blocks the event loop too; the methods
 * that end in Async, and iteration, do not.
 */
export class Bus extends Both implements AsyncIterable<Message> {
  private constructor();
  static listen(path: string, capacity: number, options?: OpenOptions): Bus;
  static connect(path: string, options?: OpenOptions): Bus;
  static listenAsync(path: string, capacity: number,
                     options?: OpenAsyncOptions): Promise<Bus>;
  static connectAsync(path: string, options?: OpenAsyncOptions): Promise<Bus>;

  /** Copy, and show to the peer. */
  send(data: NodeJS.ArrayBufferView, typeId?: number, options?: WaitOptions): void;
  /** Items of one size; how many went, which is fewer after an error in between. */
  sendBatch(items: NodeJS.ArrayBufferView, itemSize: number, typeId?: number,
            options?: WaitOptions): number;
  /** Room in the ring to write a message into. */
  acquireTx(maxSize: number, options?: WaitOptions): TxGuard;
  /** Room for up to maxCount messages of itemSize bytes: as many as there is room for. */
  acquireTxBatch(itemSize: number, maxCount: number, options?: WaitOptions): TxBatch;
  /** Show what commitUnflushed() has left. */
  flush(): void;
  /** Waits for room; `data` must not change until then. */
  sendAsync(data: NodeJS.ArrayBufferView, typeId?: number,
            options?: AsyncOptions): Promise<void>;

  recv(spin?: number, options?: WaitOptions): Message;
  /** Up to maxCount messages of one size and type, one behind the other in `data`. */
  recvBatch(itemSize: number, maxCount?: number,
            options?: WaitOptions): Message & { count: number };
  /** The next message in place; null when none came in time. */
  acquireRx(spin?: number, options?: WaitOptions): RxGuard | null;
  /** All that is there, up to max (at most 1024), in place; perhaps none in time. */
  drainBatch(max: number, spin?: number, options?: WaitOptions): RxBatch;
  /** Several may be awaited at once: messages go to them in order. */
  recvAsync(options?: AsyncOptions): Promise<Message>;
  /** All messages until the peer has closed; timeout is of each. */
  messages(options?: AsyncOptions): AsyncGenerator<Message, void, void>;
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, void>;

  /** In a broadcast: what a later connection takes as `start`. */
  position(): Position;
  setNumaNode(node: number): void;
  stats(): Stats;
}

/** Room for a message; over with commit, rollback, or the next call that sends. */
export class TxGuard {
  private constructor();
  /** The room, in the ring; what is written later is lost or harms another message. */
  bytes(): Buffer;
  commit(size: number, typeId?: number): void;
  /** Shown with the next flush(), or after 32 of them. */
  commitUnflushed(size: number, typeId?: number): void;
  rollback(): void;
  [Symbol.dispose](): void;
}

/** Room for messages of one size; over with commit, rollback, or the next call that sends. */
export class TxBatch {
  private constructor();
  /** How many there is room for. */
  readonly length: number;
  /** Where to write message i. For speed write to bytes(), at i * stride. */
  at(index: number): Buffer;
  readonly stride: number;
  bytes(): Buffer;
  /** Send the first `count`. */
  commit(count: number, typeId?: number): void;
  rollback(): void;
  [Symbol.dispose](): void;
}

declare abstract class Received {
  /** Give back; what lies in the ring may change from then on. */
  commit(): void;
  [Symbol.dispose](): void;
}

/** A message in place; over with commit or the next call that receives. */
export class RxGuard extends Received {
  private constructor();
  data(): Buffer;
  readonly typeId: number;
  readonly actualSize: number;
}

/** Messages in place; over with commit or the next call that receives. */
export class RxBatch extends Received implements Iterable<Message & { size: number }> {
  private constructor();
  readonly length: number;
  at(index: number): Message & { size: number };
  [Symbol.iterator](): IterableIterator<Message & { size: number }>;
  /** For speed: the bytes in which message i takes size(i) from offset(i) on. */
  readonly memory: Buffer;
  offset(index: number): number;
  size(index: number): number;
  typeId(index: number): number;
}

/** One end of remote procedure calls: who connects calls, who listens serves. */
export class RpcBus extends Both implements AsyncIterable<RpcMessage> {
  private constructor();
  static rpcListen(path: string, forward: number, back: number,
                   options?: OpenOptions): RpcBus;
  static rpcConnect(path: string, options?: OpenOptions): RpcBus;
  static rpcListenAsync(path: string, forward: number, back: number,
                        options?: OpenAsyncOptions): Promise<RpcBus>;
  static rpcConnectAsync(path: string, options?: OpenAsyncOptions): Promise<RpcBus>;

  /** Send a request; its correlation id. */
  call(data: NodeJS.ArrayBufferView, msgType?: number, options?: WaitOptions): bigint;
  /** The reply to it, with 0n to any call; null when none came in time. */
  wait(id: bigint, spin?: number, options?: WaitOptions): RpcRxGuard | null;
  /** Give a call up. */
  cancel(id: bigint): void;
  /** A request and its reply; one that ends early is cancelled. */
  callAsync(data: NodeJS.ArrayBufferView, msgType?: number,
            options?: AsyncOptions): Promise<RpcMessage>;
  waitAsync(id: bigint, options?: AsyncOptions): Promise<RpcMessage>;

  /** The next request; null when none came in time. */
  serve(spin?: number, options?: WaitOptions): RpcRxGuard | null;
  reply(id: bigint, data: NodeJS.ArrayBufferView, msgType?: number,
        options?: WaitOptions): void;
  serveAsync(options?: AsyncOptions): Promise<RpcMessage>;
  replyAsync(id: bigint, data: NodeJS.ArrayBufferView, msgType?: number,
             options?: AsyncOptions): Promise<void>;
  /** All requests until the peer has closed; timeout is of each. */
  requests(options?: AsyncOptions): AsyncGenerator<RpcMessage, void, void>;
  [Symbol.asyncIterator](): AsyncGenerator<RpcMessage, void, void>;

  stats(): RpcStats;
}

/** A request or reply; `data` is the receiver's own. */
export class RpcRxGuard extends Received {
  private constructor();
  data(): Buffer;
  readonly typeId: number;
  readonly msgType: number;
  readonly actualSize: number;
  readonly correlationId: bigint;
}

/** The core's text with cause and value; `code` is one of ErrorCode. */
export class TachyonError extends Error {
  constructor(message: string, code: number);
  readonly code: number;
}
/** ErrorCode.PeerDead: the peer died without closing. */
export class PeerDeadError extends TachyonError {}
/** ErrorCode.AbiMismatch: the peer speaks another protocol or has another schema. */
export class AbiMismatchError extends TachyonError {}

export function isTachyonError(error: unknown): error is TachyonError;
/** No room: worth another try. */
export function isFull(error: unknown): error is TachyonError;
export function isPeerDead(error: unknown): error is PeerDeadError;
export function isAbiMismatch(error: unknown): error is AbiMismatchError;

export const ErrorCode: {
  readonly NullPtr: 1;
  readonly Mem: 2;
  readonly Open: 3;
  readonly Truncate: 4;
  readonly Chmod: 5;
  readonly Seal: 6;
  readonly Map: 7;
  readonly InvalidSz: 8;
  readonly Full: 9;
  readonly Empty: 10;
  readonly Network: 11;
  readonly System: 12;
  readonly Interrupted: 13;
  readonly AbiMismatch: 14;
  readonly PeerDead: 15;
  readonly Closed: 16;
  readonly Timeout: 17;
  readonly Busy: 18;
  readonly Corrupt: 19;
  readonly AddrInUse: 20;
  readonly Permission: 21;
  readonly Forked: 22;
  readonly Aborted: 23;
  readonly Lagged: 24;
};
export const Role: { readonly None: 0; readonly Producer: 1; readonly Consumer: 2 };
export const State: {
  readonly Uninitialized: 0;
  readonly Initializing: 1;
  readonly Ready: 2;
  readonly Disconnected: 3;
  readonly FatalError: 4;
  readonly Unknown: 5;
};

export const EventKind: { readonly Joined: 1; readonly Left: 2; readonly Missed: 3 };
export const SlowPeer: { readonly Wait: 0; readonly Disconnect: 1 };
export const WithoutPeers: { readonly Wait: 0; readonly FreeRun: 1 };
export const Start: { readonly Now: 0; readonly Oldest: 1 };

/** A type_id is free for use; by convention a route and a type, of 16 bits each. */
export function makeTypeId(route: number, type: number): number;
export function routeId(typeId: number): number;
export function msgType(typeId: number): number;
/** Of the library, "major.minor.patch". */
export function version(): string;
