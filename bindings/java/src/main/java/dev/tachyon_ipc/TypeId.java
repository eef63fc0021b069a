// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** By convention a type id is a route and a message type of 16 bits each. */
public final class TypeId {
    private TypeId() {}

    public static int of(int route, int type) {
        return route << 16 | type & 0xffff;
    }

    public static int routeId(int typeId) {
        return typeId >>> 16;
    }

    public static int msgType(int typeId) {
        return typeId & 0xffff;
    }
}
