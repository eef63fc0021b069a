// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.ref.Cleaner;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.stream.Stream;

/** The native half: the one that the JAR carries for this machine, or one that is named. */
final class Library {
    static final Cleaner CLEANER = Cleaner.create();
    private static final String PROPERTY = "dev.tachyon_ipc.library";

    private Library() {}

    /** By this name musl is mapped. */
    private static String libc() {
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"),
                StandardCharsets.ISO_8859_1)) {
            return maps.anyMatch(map -> map.matches(".*/(ld-musl-.*|libc\\.so)")) ? "-musl" : "";
        } catch (IOException | UncheckedIOException e) {
            return "";
        }
    }

    /** A copy of its own for each class loader: one file may be loaded once in a process. */
    static void load() {
        String named = System.getProperty(PROPERTY);
        String os = System.getProperty("os.name").toLowerCase(java.util.Locale.ROOT);
        String arch = System.getProperty("os.arch").replace("amd64", "x86_64");
        String resource = "/natives/" + os + "-" + arch + libc() + "/libtachyon-java.so";
        try (InputStream in = named != null ? Files.newInputStream(Path.of(named))
                : Library.class.getResourceAsStream(resource)) {
            if (in == null) throw new IOException("this JAR does not have it");
            Path copy = Files.createTempFile("tachyon-", ".so");
            try {
                Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                Files.delete(copy);
            }
        } catch (IOException | UnsatisfiedLinkError e) {
            String text = "Tachyon's native library " + (named != null ? named : resource)
                    + " cannot be loaded on os.name " + os + ", os.arch " + arch + ": " + e
                    + "; build bindings/java on this machine and name its libtachyon-java.so"
                    + " with -D" + PROPERTY + "=FILE";
            throw (UnsatisfiedLinkError) new UnsatisfiedLinkError(text).initCause(e);
        }
    }
}
